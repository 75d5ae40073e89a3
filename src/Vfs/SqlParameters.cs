using System.Collections;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// Binds what a caller gives as parameters. What SQLite has a type for is bound as it is; the rest (times, GUIDs, decimals …) becomes
/// what Microsoft.Data.Sqlite makes of it.
/// </summary>
/// <param name="connection">For those conversions.</param>
internal sealed class SqlParameters(SqliteConnection connection) : IDisposable
{
    private static readonly ConcurrentDictionary<Type, PropertyInfo[]> Properties = new();

    private SqliteCommand? _conversion;

    /// <summary>Whether these are values by position, for <c>?</c>.</summary>
    public static bool ArePositional(object? parameters) =>
        parameters is IEnumerable and not string and not byte[] and not IEnumerable<KeyValuePair<string, object?>> and not IEnumerable<SqliteParameter>;

    /// <summary>Gives every parameter of a statement its value; values that it does not name are ignored.</summary>
    /// <exception cref="InvalidOperationException">A parameter has no value, or a name fits several.</exception>
    public void Bind(Statement statement, object? parameters)
    {
        var count = statement.ParameterCount;
        if (count == 0) return;
        if (parameters is object?[] and not SqliteParameter[])
        {
            BindArray(statement, (object?[])parameters, count);
            return;
        }

        if (ArePositional(parameters))
        {
            BindArray(statement, [.. ((IEnumerable)parameters!).Cast<object?>()], count);
            return;
        }

        var bound = new bool[count];
        switch (parameters)
        {
            case null:
                break;
            case IEnumerable<SqliteParameter> ready:
                foreach (var parameter in ready) BindName(statement, parameter.ParameterName, parameter, bound);
                break;
            case IEnumerable<KeyValuePair<string, object?>> named:
                foreach (var (name, value) in named) BindName(statement, name, value, bound);
                break;
            default:
                BindProperties(statement, parameters, bound);
                break;
        }

        for (var i = 1; i <= count; i++)
        {
            if (!bound[i - 1] && statement.ParameterName(i) is { } name) throw new InvalidOperationException($"The parameter {name} has no value.");
            if (!bound[i - 1] && IsBare(statement, i)) throw new InvalidOperationException($"The parameter ? number {i} has no value: give a list of values, in order.");
        }
    }

    public void Dispose() => _conversion?.Dispose();

    // Without a name it is a bare question mark, unless it is a number that a text with ?N leaves out.
    private static bool IsBare(Statement statement, int index)
    {
        for (var i = index + 1; i <= statement.ParameterCount; i++)
        {
            if (statement.ParameterName(i) is { } name && name[0] == '?') return false;
        }

        return true;
    }

    private void BindArray(Statement statement, object?[] values, int count)
    {
        if (values.Length < count) throw new InvalidOperationException($"The statement has {count} parameters, but only {values.Length} {(values.Length == 1 ? "value was" : "values were")} given.");
        for (var i = 0; i < count; i++) BindValue(statement, i + 1, values[i]);
    }

    /// <summary>
    /// The values in the order of the statement's parameters, where these are a list, or an object with a property for each;
    /// null: only <see cref="Bind"/> can tell.
    /// </summary>
    public static object?[]? Arrange(Statement statement, object? parameters)
    {
        if (parameters is object?[] and not SqliteParameter[]) return (object?[])parameters;
        if (parameters is null or IEnumerable) return null;
        var plan = PlanOf(statement, parameters);
        if (!plan.IsComplete) return null;
        var values = new object?[statement.ParameterCount];
        foreach (var (property, index) in plan.Properties) values[index - 1] = property.GetValue(parameters);
        return values;
    }

    private static ParameterPlan PlanOf(Statement statement, object parameters)
    {
        if (statement.ParameterPlan is ParameterPlan known && known.Type == parameters.GetType()) return known;
        var properties = PropertiesOf(parameters).Select(property => (Property: property, Index: Find(statement, property.Name))).Where(entry => entry.Index > 0).ToArray();
        var isComplete = properties.Select(entry => entry.Index).Distinct().Count() == statement.ParameterCount;
        var plan = new ParameterPlan(parameters.GetType(), properties, isComplete);
        statement.ParameterPlan = plan;
        return plan;
    }

    private void BindProperties(Statement statement, object parameters, bool[] bound)
    {
        foreach (var (property, index) in PlanOf(statement, parameters).Properties)
        {
            BindValue(statement, index, property.GetValue(parameters));
            bound[index - 1] = true;
        }
    }

    private void BindName(Statement statement, string name, object? value, bool[] bound)
    {
        if (Find(statement, name) is not (> 0 and var found)) return;
        BindValue(statement, found, value);
        bound[found - 1] = true;
    }

    // The parameter of a name with or without its prefix; 0: there is none.
    private static int Find(Statement statement, string name)
    {
        var found = 0;
        for (var i = 1; i <= statement.ParameterCount; i++)
        {
            if (statement.ParameterName(i) is not { } full) continue;
            if (full == name) return i;

            if (full[0] == '?' || full.Length != name.Length + 1 || !full.EndsWith(name, StringComparison.Ordinal)) continue;
            if (found != 0) throw new InvalidOperationException($"The name {name} fits several parameters: give it with its prefix.");
            found = i;
        }

        return found;
    }

    private void BindValue(Statement statement, int index, object? value)
    {
        if (!statement.TryBind(index, value)) statement.TryBind(index, Convert(value!));
    }

    /// <summary>What Microsoft.Data.Sqlite makes of a value that SQLite has no type for.</summary>
    public object? Convert(object value)
    {
        var parameter = value as SqliteParameter ?? new SqliteParameter("$v", value);
        var name = parameter.ParameterName;
        _conversion ??= connection.CreateCommand();
        try
        {
#pragma warning disable CA2100 // A parameter's name.
            _conversion.CommandText = $"SELECT {(name is ['$' or '@' or ':' or '?', ..] ? name : "$" + name)}";
#pragma warning restore CA2100
            _conversion.Parameters.Add(parameter);
            return _conversion.ExecuteScalar();
        }
        finally
        {
            _conversion.Parameters.Clear();
        }
    }

    [UnconditionalSuppressMessage("Trimming", "IL2070", Justification =
        "A parameter object's properties are read where the caller made it, which keeps them; under full trimming pass a dictionary (docs/VFS.md).")]
    [UnconditionalSuppressMessage("Trimming", "IL2111", Justification = "As above.")]
    internal static PropertyInfo[] PropertiesOf(object parameters) =>
        Properties.GetOrAdd(parameters.GetType(), static type => [.. type.GetProperties().Where(property => property.GetIndexParameters().Length == 0)]);

    private sealed record ParameterPlan(Type Type, (PropertyInfo Property, int Index)[] Properties, bool IsComplete);
}
