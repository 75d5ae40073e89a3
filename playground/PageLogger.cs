using Microsoft.Extensions.Logging;

namespace DataSync.Playground;

/// <summary>A message that DataSync logged.</summary>
public sealed record LogMessage(DateTimeOffset Time, LogLevel Level, int Id, string Text);

/// <summary>Keeps the last messages of DataSync's own logger for the page, newest first; the browser's console has them, too.</summary>
public sealed class PageLogger(TimeProvider time) : ILoggerProvider, ILogger
{
    private const int Limit = 50;

    private readonly LinkedList<LogMessage> messages = new();

    public IEnumerable<LogMessage> Messages => messages;

    public ILogger CreateLogger(string categoryName) =>
        categoryName == "DataSync" ? this : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        messages.AddFirst(new LogMessage(time.GetLocalNow(), logLevel, eventId.Id, formatter(state, exception)));
        if (messages.Count > Limit) messages.RemoveLast();
    }

    public void Dispose()
    {
    }
}
