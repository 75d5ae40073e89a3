using System.Reflection;
using DataSync.Remote;
using Microsoft.Extensions.Logging;

namespace DataSync.Server.Tests;

public sealed class DocumentationTests
{
    [Theory]
    [InlineData(typeof(DataSyncRemoteOptions), 5)]
    [InlineData(typeof(DataSyncServerOptions), 6)]
    public void Every_log_message_is_listed_and_its_id_is_in_the_band_of_its_library(Type inLibrary, int thousand)
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "DataSync.sln"))) folder = Path.GetDirectoryName(folder)!;
        var log = inLibrary.Assembly.GetType(inLibrary.Namespace + ".Log", throwOnError: true)!;
        var messages = log.GetMethods(BindingFlags.Static | BindingFlags.Public).Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()!).ToList();
        Assert.All(messages, message => Assert.Equal(thousand, message.EventId / 1000));
        Assert.Equal(
            messages.Select(message => $"| {message.EventId} | {message.Level} | {message.Message} |").Order(),
            File.ReadLines(Path.Combine(folder, "docs", "SERVER.md")).Where(line => line.StartsWith($"| {thousand}0", StringComparison.Ordinal)).Order());
    }
}
