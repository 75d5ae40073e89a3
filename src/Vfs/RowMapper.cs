using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// Makes objects of rows. A scalar takes the first column, a tuple as many as it has members, in order; a class or record takes the public
/// constructor whose parameters are all columns (the one with the most), then sets the other properties. Names are compared without case
/// and underscores. <see cref="ColumnReader"/> has the conversions.
/// </summary>
internal sealed class RowMapper<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>
{
    private readonly ConstructorInvoker? _constructor;
    private readonly Member[] _arguments;
    private readonly List<(Member Value, PropertyInfo Property)> _properties = [];

    /// <param name="names">The columns'.</param>
    /// <param name="first">Which of the statement's columns the first of them is.</param>
    /// <exception cref="InvalidOperationException">The type cannot be made of these columns.</exception>
    public RowMapper(IReadOnlyList<string> names, int first = 0)
    {
        if (ColumnReader.IsScalar(Underlying(typeof(T))))
        {
            _arguments = [new(first, typeof(T))];
            return;
        }

        if (typeof(ITuple).IsAssignableFrom(typeof(T)))
        {
            (_constructor, _arguments) = OfTuple(names, first);
            return;
        }

        var columns = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < names.Count; i++) columns.TryAdd(Plain(names[i]), first + i);
        var constructor = typeof(T).GetConstructors()
            .Where(c => c.GetParameters().All(p => columns.ContainsKey(Plain(p.Name!))))
            .MaxBy(c => c.GetParameters().Length)
            ?? throw new InvalidOperationException(
                $"{typeof(T).Name} is no type of a single column, and has no public constructor whose parameters are all columns; the columns are {string.Join(", ", names)}.");
        _constructor = ConstructorInvoker.Create(constructor);
        var parameters = constructor.GetParameters();
        _arguments = [.. parameters.Select(p => new Member(columns[Plain(p.Name!)], p.ParameterType))];
        foreach (var property in typeof(T).GetProperties())
        {
            var isArgument = parameters.Any(p => string.Equals(p.Name, property.Name, StringComparison.OrdinalIgnoreCase));
            if (!isArgument && property.CanWrite && columns.TryGetValue(Plain(property.Name), out var column)) _properties.Add((new(column, property.PropertyType), property));
        }

        if (_arguments.Length + _properties.Count == 0)
            throw new InvalidOperationException($"{typeof(T).Name} has nothing that is named as a column is; the columns are {string.Join(", ", names)}.");
    }

    /// <summary>Makes an object of the row that the statement stands on.</summary>
    /// <exception cref="InvalidCastException">A value does not fit.</exception>
    public T Map(Statement row) => _constructor is null ? (T)_arguments[0].Read(row)! : Make(Read(row));

    /// <summary>The values that an object is made of: all that it can tell of the row.</summary>
    /// <exception cref="InvalidCastException">A value does not fit.</exception>
    public object?[] Read(Statement row)
    {
        var values = new object?[_arguments.Length + _properties.Count];
        for (var i = 0; i < _arguments.Length; i++) values[i] = _arguments[i].Read(row);
        for (var i = 0; i < _properties.Count; i++) values[_arguments.Length + i] = _properties[i].Value.Read(row);
        return values;
    }

    /// <summary>Makes an object of the values.</summary>
    public T Make(object?[] values)
    {
        if (_constructor is null) return (T)values[0]!;
        var made = _constructor.Invoke(values.AsSpan(0, _arguments.Length));
        for (var i = 0; i < _properties.Count; i++)
            _properties[i].Property.SetValue(made, values[_arguments.Length + i], BindingFlags.DoNotWrapExceptions, null, null, CultureInfo.InvariantCulture);
        return (T)made;
    }

    private static (ConstructorInvoker Constructor, Member[] Arguments) OfTuple(IReadOnlyList<string> names, int first)
    {
        var types = typeof(T).GetGenericArguments();
        if (typeof(T).GetConstructors() is not [var constructor] || types.Any(type => typeof(ITuple).IsAssignableFrom(type)))
            throw new InvalidOperationException("A tuple that rows become has one to seven members, none of them a tuple. Use a record.");
        if (types.Length > names.Count)
            throw new InvalidOperationException($"The tuple has {types.Length} members, but the columns are only {string.Join(", ", names)}.");
        return (ConstructorInvoker.Create(constructor), [.. types.Select((type, column) => new Member(first + column, type))]);
    }

    private static string Plain(string name) => name.Replace("_", "", StringComparison.Ordinal);

    private static Type Underlying(Type type) => Nullable.GetUnderlyingType(type) ?? type;

    // What takes a column's value.
    private sealed class Member(int column, Type type)
    {
        private readonly Type _plain = Underlying(type);
        private readonly bool _takesNull = !type.IsValueType || Nullable.GetUnderlyingType(type) is not null;
        private readonly Func<Statement, int, object> _read = ColumnReader.Of(Underlying(type));

        public object? Read(Statement row)
        {
            try
            {
                if (row.GetType(column) != raw.SQLITE_NULL) return _read(row, column);
                return _takesNull ? null : throw new InvalidCastException($"it is NULL; use {type.Name}?");
            }
            catch (Exception error) when (error is FormatException or OverflowException or ArgumentException or InvalidCastException)
            {
                throw new InvalidCastException($"Column '{row.Columns[column]}' does not fit {_plain.Name}: {error.Message}", error);
            }
        }
    }
}
