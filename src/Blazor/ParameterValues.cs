using System.Collections;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Blazor;

/// <summary>What the parameters of a query were when they were set, however they are given: a list or dictionary may be changed later.</summary>
internal sealed class ParameterValues : IEquatable<ParameterValues>
{
    private readonly (string Name, object? Value)[] _values;

    private ParameterValues(IEnumerable<(string Name, object? Value)> values) => _values = [.. values];

    /// <param name="parameters">As for <see cref="DataSyncDatabase.QueryAsync{T}"/>.</param>
    public static ParameterValues Of(object? parameters) => new(parameters switch
    {
        null => [],
        _ when SqlParameters.ArePositional(parameters) => ((IEnumerable)parameters).Cast<object?>().Select(value => ("", value)),
        IEnumerable<SqliteParameter> ready => ready.Select(parameter => (parameter.ParameterName, parameter.Value)).OrderBy(entry => entry.ParameterName, StringComparer.Ordinal),
        IEnumerable<KeyValuePair<string, object?>> named => named.Select(entry => (entry.Key, entry.Value)).OrderBy(entry => entry.Key, StringComparer.Ordinal),
        _ => SqlParameters.PropertiesOf(parameters).Select(property => (property.Name, property.GetValue(parameters))),
    });

    public bool Equals(ParameterValues? other) => other is not null && _values.Length == other._values.Length
        && _values.Zip(other._values).All(pair => pair.First.Name == pair.Second.Name && SameRows<object>.AreSame(pair.First.Value, pair.Second.Value));

    public override bool Equals(object? other) => Equals(other as ParameterValues);

    public override int GetHashCode() => _values.Length;
}
