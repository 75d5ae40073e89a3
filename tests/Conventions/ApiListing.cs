using System.Reflection;
using System.Text;

namespace DataSync.Conventions;

/// <summary>The public surface of an assembly as text, one line a member, in a fixed order.</summary>
internal static class ApiListing
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    public static string Of(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (var type in assembly.GetExportedTypes().OrderBy(t => t.FullName, StringComparer.Ordinal))
        {
            text.Append(Kind(type)).Append(' ').Append(Name(type)).Append('\n');
            foreach (var line in type.GetMembers(Declared).Select(Describe).OfType<string>().Order(StringComparer.Ordinal)) text.Append("  ").Append(line).Append('\n');
        }

        return text.ToString();
    }

    private static string Kind(Type type) => type switch
    {
        { IsEnum: true } => "enum",
        { IsInterface: true } => "interface",
        { IsValueType: true } => "struct",
        { IsAbstract: true, IsSealed: true } => "static class",
        { IsSealed: true } => "sealed class",
        _ => "class",
    };

    private static string? Describe(MemberInfo member) => member switch
    {
        FieldInfo { IsSpecialName: true } => null,
        FieldInfo field when IsVisible(field.IsPublic, field.IsFamily) => $"{Name(field.FieldType)} {field.Name}{(field.IsLiteral ? $" = {field.GetRawConstantValue()}" : "")}",
        ConstructorInfo made when IsVisible(made.IsPublic, made.IsFamily) => $"new({Parameters(made)})",
        PropertyInfo property when Accessors(property) is { Length: > 0 } accessors => $"{Name(property.PropertyType)} {property.Name} {{{accessors}}}",
        EventInfo { AddMethod: { } add } raised when IsVisible(add.IsPublic, add.IsFamily) => $"event {Name(raised.EventHandlerType!)} {raised.Name}",
        MethodInfo { IsSpecialName: false } method when IsVisible(method.IsPublic, method.IsFamily) && !method.Name.Contains('<', StringComparison.Ordinal) =>
            $"{(method.IsStatic ? "static " : "")}{Name(method.ReturnType)} {method.Name}({Parameters(method)})",
        _ => null,
    };

    private static string Accessors(PropertyInfo property)
    {
        var get = property.GetMethod is { } getter && IsVisible(getter.IsPublic, getter.IsFamily) ? " get;" : "";
        var set = property.SetMethod is { } setter && IsVisible(setter.IsPublic, setter.IsFamily) ? " set;" : "";
        return get + set is { Length: > 0 } accessors ? accessors + " " : "";
    }

    private static bool IsVisible(bool isPublic, bool isFamily) => isPublic || isFamily;

    private static string Parameters(MethodBase method) =>
        string.Join(", ", method.GetParameters().Select(p => $"{Name(p.ParameterType)} {p.Name}{(p.IsOptional ? "?" : "")}"));

    private static string Name(Type type)
    {
        if (type.IsByRef) return Name(type.GetElementType()!) + "&";
        if (!type.IsGenericType) return type.IsGenericParameter ? type.Name : type.FullName ?? type.Name;
        var name = type.GetGenericTypeDefinition().FullName ?? type.Name;
        return $"{name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
    }
}
