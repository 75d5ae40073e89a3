namespace DataSync.Remote;

/// <summary>What uses a <see cref="RemoteLink"/>. Members are called one at a time, outside of its lock, and do not throw but in <see cref="EnterAsync"/>.</summary>
internal interface IRemoteMember
{
    /// <summary>There is a connection: says what the server must know before anything else. It may be called twice for one connection.</summary>
    ValueTask EnterAsync(RemoteConnection connection, CancellationToken cancellationToken);

    /// <summary>Something came that answers no request.</summary>
    void OnFrame(Frame frame);

    /// <summary>The connection is gone.</summary>
    void OnLost();

    /// <summary>There is one again, and all members have entered.</summary>
    void OnRestored();
}
