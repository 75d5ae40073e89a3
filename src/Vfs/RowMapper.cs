using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;

namespace DataSync.Vfs;

/// <summary>
/// Makes objects of rows. A scalar takes the first column; a class or record takes the public constructor whose parameters
/// are all columns (the one with the most), then sets the other properties. Names are compared without case and underscores.
/// </summary>
internal sealed class RowMapper<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>
{
    private readonly ConstructorInvoker? _constructor;
    private readonly (int Column, Type Type, Type Plain)[] _arguments = [];
    private readonly List<(int Column, PropertyInfo Property)> _properties = [];

    public RowMapper(IReadOnlyList<string> names)
    {
        if (IsScalar(typeof(T))) return;
        var columns = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < names.Count; i++) columns.TryAdd(Plain(names[i]), i);
        var constructor = typeof(T).GetConstructors()
            .Where(c => c.GetParameters().All(p => columns.ContainsKey(Plain(p.Name!))))
            .MaxBy(c => c.GetParameters().Length)
            ?? throw new InvalidOperationException(
                $"{typeof(T).Name} has no public constructor whose parameters are all columns; the columns are {string.Join(", ", columns.Keys)}.");
        _constructor = ConstructorInvoker.Create(constructor);
        var parameters = constructor.GetParameters();
        _arguments = [.. parameters.Select(p => (columns[Plain(p.Name!)], p.ParameterType, Underlying(p.ParameterType)))];
        foreach (var property in typeof(T).GetProperties())
        {
            var isArgument = parameters.Any(p => string.Equals(p.Name, property.Name, StringComparison.OrdinalIgnoreCase));
            if (!isArgument && property.CanWrite && columns.TryGetValue(Plain(property.Name), out var column)) _properties.Add((column, property));
        }
    }

    /// <summary>Makes an object of the row that the statement stands on.</summary>
    public T Map(Statement row)
    {
        if (_constructor is null) return (T)Read(row, 0, typeof(T), Underlying(typeof(T)))!;
        var arguments = new object?[_arguments.Length];
        for (var i = 0; i < arguments.Length; i++)
        {
            var (column, type, plain) = _arguments[i];
            arguments[i] = Read(row, column, type, plain);
        }

        var made = _constructor.Invoke(arguments.AsSpan());
        foreach (var (column, property) in _properties)
            property.SetValue(made, Read(row, column, property.PropertyType, Underlying(property.PropertyType)), BindingFlags.DoNotWrapExceptions, null, null, CultureInfo.InvariantCulture);
        return (T)made;
    }

    private static object? Read(Statement row, int column, Type type, Type plain)
    {
        var value = row.GetValue(column);
        if (value?.GetType() == plain) return value;
        try
        {
            return Convert(value, type);
        }
        catch (Exception error) when (error is FormatException or OverflowException or ArgumentException or InvalidCastException)
        {
            throw new InvalidCastException($"Column '{row.Columns[column]}' does not fit {type.Name}: {error.Message}", error);
        }
    }

    private static string Plain(string name) => name.Replace("_", "", StringComparison.Ordinal);

    private static Type Underlying(Type type) => Nullable.GetUnderlyingType(type) ?? type;

    private static bool IsScalar(Type type)
    {
        type = Underlying(type);
        return type.IsPrimitive || type.IsEnum || type == typeof(string) || type == typeof(byte[]) || type == typeof(object) || type == typeof(decimal)
            || type == typeof(DateTime) || type == typeof(DateTimeOffset) || type == typeof(DateOnly) || type == typeof(TimeOnly)
            || type == typeof(TimeSpan) || type == typeof(Guid);
    }

    private static object? Convert(object? value, Type type)
    {
        if (value is null)
        {
            return !type.IsValueType || Nullable.GetUnderlyingType(type) is not null
                ? null
                : throw new InvalidCastException($"It is NULL; use {type.Name}?.");
        }

        type = Underlying(type);
        if (type.IsInstanceOfType(value)) return value;
        if (type.IsEnum) return value is string name ? Enum.Parse(type, name) : Enum.ToObject(type, value);
        if (type == typeof(Guid) && value is byte[] { Length: 16 } bytes) return new Guid(bytes);
        if (value is not string text) return System.Convert.ChangeType(value, type, CultureInfo.InvariantCulture);
        if (type == typeof(Guid)) return Guid.Parse(text);
        if (type == typeof(DateTimeOffset)) return DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
        if (type == typeof(DateTime)) return DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind);
        if (type == typeof(DateOnly)) return DateOnly.Parse(text, CultureInfo.InvariantCulture);
        if (type == typeof(TimeOnly)) return TimeOnly.Parse(text, CultureInfo.InvariantCulture);
        return type == typeof(TimeSpan)
            ? TimeSpan.Parse(text, CultureInfo.InvariantCulture)
            : System.Convert.ChangeType(text, type, CultureInfo.InvariantCulture);
    }
}
