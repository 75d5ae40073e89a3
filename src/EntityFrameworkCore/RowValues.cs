using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;

namespace DataSync.EntityFrameworkCore;

/// <summary>All that can be seen of an object that a query made, as plain values in a fixed order: what two runs are compared by.</summary>
internal static class RowValues
{
    public static object?[] Of(IModel model, object? row)
    {
        var values = new List<object?>();
        Add(model, row, values, new(ReferenceEqualityComparer.Instance));
        return [.. values];
    }

    private static void Add(IModel model, object? part, List<object?> values, HashSet<object> seen)
    {
        if (part is null or string or byte[] || IsPlain(part.GetType()))
        {
            values.Add(part);
            return;
        }

        if (!part.GetType().IsValueType && !seen.Add(part)) return; // a navigation back, or to what was included before
        if (part is ITuple tuple)
        {
            for (var i = 0; i < tuple.Length; i++) Add(model, tuple[i], values, seen);
            return;
        }

        if (part is IEnumerable list and not IQueryable)
        {
            var at = values.Count;
            values.Add(0);
            var count = 0;
            foreach (var one in list)
            {
                Add(model, one, values, seen);
                count++;
            }

            values[at] = count;
            return;
        }

        if (model.FindRuntimeEntityType(part.GetType()) is { } entity) AddEntity(model, entity, part, values, seen);
        else foreach (var property in part.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)) if (property.GetIndexParameters().Length == 0) Add(model, property.GetValue(part), values, seen);
    }

    private static void AddEntity(IModel model, IEntityType entity, object part, List<object?> values, HashSet<object> seen)
    {
        values.Add(entity.Name);
        foreach (var property in entity.GetProperties()) if (!property.IsShadowProperty()) Add(model, property.GetGetter().GetClrValue(part), values, seen);
        foreach (var complex in entity.GetComplexProperties()) if (!complex.IsShadowProperty()) Add(model, complex.GetGetter().GetClrValue(part), values, seen);
        foreach (var navigation in entity.GetNavigations().Concat<INavigationBase>(entity.GetSkipNavigations())) if (!navigation.IsShadowProperty()) Add(model, navigation.GetGetter().GetClrValue(part), values, seen);
    }

    private static bool IsPlain(Type type) => 
        type.IsPrimitive || type.IsEnum || (type.Namespace == nameof(System) && !type.IsArray && !typeof(ITuple).IsAssignableFrom(type));
}
