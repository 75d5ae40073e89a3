using System.Net.WebSockets;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Remote;

/// <summary>One connection with the server, from its welcome to its end: requests and their answers, and what comes unasked.</summary>
internal sealed class RemoteConnection : IAsyncDisposable
{
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(1);

    private readonly IFrameLine _line;
    private readonly TimeSpan _silence;
    private readonly TimeProvider _time;
    private readonly Action<Frame> _unasked;
    private readonly Lock _gate = new();
    private readonly Dictionary<uint, Answer> _answers = [];
    private readonly CancellationTokenSource _hearing;
    private Task _sending = Task.CompletedTask;
    private uint _last;
    private bool _isOver;

    private RemoteConnection(IFrameLine line, TimeSpan silence, TimeProvider time, Action<Frame> unasked)
    {
        (_line, _silence, _time, _unasked) = (line, silence, time, unasked);
        _hearing = new(silence, time);
    }

    /// <summary>Whether this user may write here at all, and as blocks.</summary>
    public (bool MayWrite, bool MayWritePages) Access { get; private set; }

    /// <summary>Completes when the connection is over; does not fail.</summary>
    public Task<string> Ended { get; private set; } = Task.FromResult("");

    /// <summary>Greets the server.</summary>
    /// <param name="line">Connected; it belongs to the connection from here on.</param>
    /// <param name="name">The database.</param>
    /// <param name="silence">How long nothing may come, before the line counts as dead.</param>
    /// <param name="time">The clock.</param>
    /// <param name="unasked">Takes what answers no request.</param>
    /// <exception cref="StorageException">The server does not let this client in.</exception>
    public static async Task<RemoteConnection> OpenAsync(IFrameLine line, string name, TimeSpan silence, TimeProvider time, Action<Frame> unasked)
    {
        var connection = new RemoteConnection(line, silence, time, unasked);
        try
        {
            connection._sending = connection._line.SendLoopAsync();
            connection._line.TrySend(new(FrameKind.Hello, 0, default, Bodies.Hello(name)));
            var answer = await connection._line.ReceiveAsync(Bodies.MaxFrame, connection._hearing.Token).ConfigureAwait(false);
            connection.Access = answer switch
            {
                { Kind: FrameKind.Welcome } welcome => Bodies.ReadWelcome(welcome.Body.Span),
                { Kind: FrameKind.Error } error => throw Bodies.ReadError(error.Body.Span),
                null => throw new StorageClosedException(StoreClosedReason.Lost, $"The server closed the connection ({connection.Why()})."),
                _ => throw ProtocolException.Garbage("a welcome"),
            };
            connection.Ended = connection.ReceiveLoopAsync();
            return connection;
        }
        catch
        {
            connection.Abort();
            connection._line.Dispose();
            throw;
        }
    }

    /// <summary>Sends a part of a message; where it cannot be sent it is lost.</summary>
    public void Post(TabId tab, byte[] part) => _line.TrySend(new(FrameKind.Message, 0, tab, part));

    /// <summary>Tells something that has no answer.</summary>
    public void Tell(FrameKind kind, TabId tab) => _line.TrySend(new(kind, 0, tab));

    /// <summary>Asks for something, and returns when it is answered in full.</summary>
    /// <param name="kind">What.</param>
    /// <param name="tab">For which tab.</param>
    /// <param name="body">The request's body.</param>
    /// <param name="taken">Takes the frames of the answer, one at a time; never after this has returned.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="StorageException">What the server answered, or that the connection was lost.</exception>
    public async Task RequestAsync(FrameKind kind, TabId tab, byte[] body, Action<Frame>? taken, CancellationToken cancellationToken)
    {
        var answer = new Answer(taken);
        uint number;
        lock (_gate)
        {
            if (_isOver) throw new StorageClosedException(StoreClosedReason.Lost);
            _answers.Add(number = ++_last, answer);
        }

        try
        {
            if (!_line.TrySend(new(kind, number, tab, body))) throw new StorageClosedException(StoreClosedReason.Lost);
            await answer.Done.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            lock (_gate) _answers.Remove(number);
            answer.Stop();
        }
    }

    /// <summary>Ends it at once.</summary>
    public void Abort() => _line.Abort();

    /// <summary>Says goodbye behind what was posted, and waits for it for a moment.</summary>
    public async ValueTask DisposeAsync()
    {
        _line.Close(WebSocketCloseStatus.NormalClosure, "");
        await Task.WhenAll(_sending, Ended).WaitAsync(CloseTimeout, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _line.Abort();
        await ((Task)Ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _line.Dispose();
        _hearing.Dispose();
    }

    private async Task<string> ReceiveLoopAsync()
    {
        var why = "";
        try
        {
            while (true)
            {
                _hearing.CancelAfter(_silence);
                if (await _line.ReceiveAsync(Bodies.MaxFrame, _hearing.Token).ConfigureAwait(false) is not { } frame) break;
                Take(frame);
            }

            why = Why();
        }
        catch (OperationCanceledException)
        {
            why = "nothing was heard of the server any more";
        }
#pragma warning disable CA1031 // Also what a member has let out: whoever waits for an answer must not wait for ever, and another connection may fare better.
        catch (Exception error)
#pragma warning restore CA1031
        {
            why = error.Message;
        }

        _line.Abort();
        Answer[] unanswered;
        lock (_gate)
        {
            _isOver = true;
            unanswered = [.. _answers.Values];
            _answers.Clear();
        }

        foreach (var answer in unanswered) answer.Done.TrySetException(new StorageClosedException(StoreClosedReason.Lost, $"The connection with the server was lost ({why})."));
        return why;
    }

    private void Take(Frame frame)
    {
        if (frame.Request == 0)
        {
            _unasked(frame);
            return;
        }

        Answer? answer;
        lock (_gate) answer = _answers.GetValueOrDefault(frame.Request);
        if (answer is null) return; // nobody waits for it any more
        if (frame.Kind == FrameKind.End) answer.Done.TrySetResult();
        else if (frame.Kind == FrameKind.Error) answer.Done.TrySetException(Bodies.ReadError(frame.Body.Span));
        else answer.Take(frame);
    }

    private string Why() => string.IsNullOrEmpty(_line.CloseDescription) ? $"status {(int?)_line.CloseStatus ?? 0}" : _line.CloseDescription;

    private sealed class Answer(Action<Frame>? taken)
    {
        private readonly Lock _gate = new();
        private Action<Frame>? _taken = taken;

        public TaskCompletionSource Done { get; } = new(OperatingSystem.IsBrowser() ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

        public void Take(Frame frame)
        {
            try
            {
                lock (_gate) _taken?.Invoke(frame);
            }
#pragma warning disable CA1031 // Whatever the one who asked finds wrong with it is told to that one.
            catch (Exception error)
#pragma warning restore CA1031
            {
                Stop();
                Done.TrySetException(error is ProtocolException ? new StorageException(error.Message, error) : error);
            }
        }

        public void Stop()
        {
            lock (_gate) _taken = null;
        }
    }
}
