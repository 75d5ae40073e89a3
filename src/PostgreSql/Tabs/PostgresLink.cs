using DataSync.Coordination;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>Who shares a <see cref="PostgresLink"/>.</summary>
internal interface IPostgresLinkMember
{
    /// <summary>What it listens to.</summary>
    IReadOnlyList<string> Topics { get; }

    /// <summary>Called on each new session, once it listens: locks are taken here.</summary>
    ValueTask EnterAsync(NpgsqlConnection connection);

    /// <summary>Called on a session that is well, when the member leaves.</summary>
    ValueTask ExitAsync(NpgsqlConnection connection);

    /// <summary>A notification, in order, one at a time. Must neither wait nor throw.</summary>
    void OnNotified(PostgresNote note);

    /// <summary>The session is gone, and with it its locks.</summary>
    void OnLost();

    /// <summary>There is another one; what was notified meanwhile was missed.</summary>
    void OnRestored();
}

/// <summary>
/// This process's own session for one database name: it listens, and holds the locks that say that its tabs are there. Opened with the first member, closed with
/// the last, opened again when it is lost. Callable from any thread.
/// </summary>
#pragma warning disable CA1001 // Its source of tokens has no timer, so it holds nothing to be let go.
internal sealed class PostgresLink(PostgresSource source, string scope)
#pragma warning restore CA1001
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromSeconds(1);

    /// <summary>What leaving waits for a session that does not answer; then it ends by itself, when its time runs out.</summary>
    private static readonly TimeSpan LeavePatience = TimeSpan.FromSeconds(2);

    private readonly Lock _gate = new();
    private readonly Queue<Work> _work = [];
    private volatile IPostgresLinkMember[] _members = [];
    private CancellationTokenSource _wake = new();
    private Task _loop = Task.CompletedTask;
    private bool _isRunning;
    private bool _isStopping;

    /// <summary>Who sends what its members have told each other already.</summary>
    public TabId Id { get; } = TabId.New(source.Time);

    /// <summary>Who is in; without the lock, since those who ask may hold locks of their own.</summary>
    public IReadOnlyList<IPostgresLinkMember> Members => _members;

    /// <summary>Joins, and returns when it listens; again: no effect.</summary>
    public async Task JoinAsync(IPostgresLinkMember member, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task stopping;
            lock (_gate)
            {
                if (_members.Contains(member)) return;
                stopping = _isStopping ? _loop : Task.CompletedTask;
            }

            await stopping.ConfigureAwait(false);
            Task joined;
            lock (_gate)
            {
                if (_isStopping) continue;
                joined = AddWork(connection => EnterAsync(connection, member, isNew: true));
                if (!_isRunning)
                {
                    _isRunning = true;
                    _loop = Task.Run(RunAsync, CancellationToken.None);
                }
            }

            try
            {
                await joined.WaitAsync(cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (OperationCanceledException)
            {
                _ = LeaveLaterAsync(joined, member);
                throw;
            }
        }
    }

    /// <summary>Leaves; the last one closes the session.</summary>
    public async Task LeaveAsync(IPostgresLinkMember member)
    {
        Task left;
        lock (_gate)
        {
            if (!_members.Contains(member)) return;
            _members = [.. _members.Where(one => one != member)];
            _isStopping = _members.Length == 0;
            left = AddWork(connection => ExitAsync(connection, member));
            if (_isStopping) left = _loop;
        }

        await left.WaitAsync(LeavePatience, source.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // a session that is lost holds nothing
    }

    private async Task LeaveLaterAsync(Task joined, IPostgresLinkMember member)
    {
        await joined.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await LeaveAsync(member).ConfigureAwait(false);
    }

    /// <summary>Runs work on the session, between notifications. Fails when there is no session.</summary>
    public Task RunAsync(Func<NpgsqlConnection, Task> work)
    {
        lock (_gate) return _isRunning ? AddWork(work) : Task.FromException(new IOException("There is no session."));
    }

    /// <summary>As <see cref="RunAsync(Func{NpgsqlConnection, Task})"/>, for what is not waited for long: the farewell of one that leaves.</summary>
    public Task RunLastAsync(Func<NpgsqlConnection, Task> work) => RunAsync(work).WaitAsync(LeavePatience, source.Time);

    private Task AddWork(Func<NpgsqlConnection, Task> run)
    {
        var work = new Work(run, new(TaskCreationOptions.RunContinuationsAsynchronously));
        _work.Enqueue(work);
        _wake.Cancel();
        return work.Done.Task;
    }

    private async Task RunAsync()
    {
        var (pause, isAgain) = (FirstPause, false);
        while (true)
        {
            lock (_gate)
            {
                if (_isStopping) // without a session there is nothing to give back
                {
                    FailWork(new IOException("There is no session."));
                    (_isRunning, _isStopping) = (false, false);
                    return;
                }
            }

            try
            {
                if (await UseAsync(await source.OpenAsync(CancellationToken.None).ConfigureAwait(false), isAgain).ConfigureAwait(false)) return;
            }
            catch (LinkLostException lost)
            {
                (pause, isAgain) = (FirstPause, true);
                source.OnLost(lost.InnerException!);
                Log.LinkLost(source.Logger, scope, lost.InnerException!.Message);
                foreach (var member in _members) member.OnLost();
            }
#pragma warning disable CA1031 // Whatever kept it from being opened: those who wait are told, and it is tried again while there are members.
            catch (Exception error)
#pragma warning restore CA1031
            {
                Log.LinkFailed(source.Logger, scope, error.Message);
                FailWork(error);
            }

            CancellationToken wake;
            lock (_gate)
            {
                if (_members.Length == 0 && _work.Count == 0)
                {
                    (_isRunning, _isStopping) = (false, false);
                    return;
                }

                wake = Rearm();
            }

            // With nobody in yet whoever joins again begins anew; those who are in wait for the server to come back.
            await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), source.Time, wake).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (pause < LongestPause) pause *= 2;
        }
    }

    /// <summary>Serves the members on a session until nobody is left (true), or it is lost.</summary>
    private async Task<bool> UseAsync(NpgsqlConnection connection, bool isAgain)
    {
        await using var end = connection.ConfigureAwait(false);
        connection.Notification += OnNotification;
        try
        {
            foreach (var member in _members) await EnterAsync(connection, member, isNew: false).ConfigureAwait(false);
        }
        catch
        {
            connection.Notification -= OnNotification;
            await ForgetAsync(connection).ConfigureAwait(false);
            throw;
        }

        if (isAgain)
        {
            Log.LinkRestored(source.Logger, scope);
            foreach (var member in _members) member.OnRestored();
        }

        try
        {
            while (true)
            {
                while (TakeWork() is { } work) await work.RunAsync(connection).ConfigureAwait(false);
                CancellationToken wake;
                lock (_gate)
                {
                    if (_members.Length == 0 && _work.Count == 0)
                    {
                        _isStopping = true; // who joins now waits for the end
                        break;
                    }

                    wake = Rearm();
                }

                try
                {
                    await connection.WaitAsync(wake).ConfigureAwait(false);
                }
                catch (OperationCanceledException)
                {
                    // There is work; the session is as it was.
                }
            }
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error) || error is InvalidOperationException)
        {
            throw new LinkLostException(error);
        }
        finally
        {
            connection.Notification -= OnNotification;
        }

        await ForgetAsync(connection).ConfigureAwait(false);
        lock (_gate) (_isRunning, _isStopping) = (false, false);
        return true;
    }

    private async Task EnterAsync(NpgsqlConnection connection, IPostgresLinkMember member, bool isNew)
    {
        var batch = source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        foreach (var topic in member.Topics) batch.Add($"LISTEN {topic}");

        // A host that is gone without a word lets go of its locks within seconds, not after the system's two hours. (Without effect on a local socket.)
        batch.Add("SELECT set_config('tcp_keepalives_idle', '3', false), set_config('tcp_keepalives_interval', '1', false), set_config('tcp_keepalives_count', '3', false)");
        await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
        await member.EnterAsync(connection).ConfigureAwait(false);
        if (isNew) lock (_gate) _members = [.. _members, member];
    }

    private static async Task ExitAsync(NpgsqlConnection connection, IPostgresLinkMember member) => await member.ExitAsync(connection).ConfigureAwait(false);

    /// <summary>Before the session goes back to the pool, where it would keep its locks.</summary>
    private async Task ForgetAsync(NpgsqlConnection connection)
    {
        try
        {
            var batch = source.Batch(connection);
            await using var end = batch.ConfigureAwait(false);
            batch.Add("UNLISTEN *");
            batch.Add("SELECT pg_advisory_unlock_all()");
            batch.Add("RESET tcp_keepalives_idle");
            batch.Add("RESET tcp_keepalives_interval");
            batch.Add("RESET tcp_keepalives_count");
            await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error) || error is InvalidOperationException)
        {
            source.OnLost(error); // nor does one go back that may still hold something
        }
    }

    private void OnNotification(object? sender, NpgsqlNotificationEventArgs e)
    {
        if (PostgresNote.TryParse(e.Payload) is not { } note) return;
        foreach (var member in _members.Where(member => member.Topics.Contains(e.Channel))) member.OnNotified(note);
    }

    private CancellationToken Rearm()
    {
        if (_work.Count > 0) return new CancellationToken(canceled: true);
        if (_wake.IsCancellationRequested)
        {
            _wake.Dispose();
            _wake = new();
        }

        return _wake.Token;
    }

    private Work? TakeWork()
    {
        lock (_gate) return _work.TryDequeue(out var work) ? work : null;
    }

    private void FailWork(Exception error)
    {
        while (TakeWork() is { } work) work.Done.TrySetException(error);
    }

    private sealed record Work(Func<NpgsqlConnection, Task> Run, TaskCompletionSource Done)
    {
        /// <summary>What fails is its caller's to know; what breaks the session ends it.</summary>
        public async Task RunAsync(NpgsqlConnection connection)
        {
            try
            {
                await Run(connection).ConfigureAwait(false);
                Done.TrySetResult();
            }
#pragma warning disable CA1031 // It goes to the caller.
            catch (Exception error)
#pragma warning restore CA1031
            {
                Done.TrySetException(error);
                _ = Done.Task.Exception; // perhaps nobody waits
                if (PostgresErrors.IsDatabaseError(error) && PostgresErrors.IsLost(error)) throw;
            }
        }
    }

    private sealed class LinkLostException(Exception cause) : Exception(cause.Message, cause);
}
