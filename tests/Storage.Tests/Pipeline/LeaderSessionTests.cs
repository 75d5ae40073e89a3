using System.Globalization;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>The rules of a leadership, one situation a row. L is the leader's own tab; A, B and C are others.</summary>
public sealed class LeaderSessionTests : IDisposable
{
    private static readonly Fence Fence = new(Guid.Parse("00000000-0000-0000-0000-0000000000ff"), new(7));
    private readonly Dictionary<char, CommitRecord> _commits = [];
    private readonly Dictionary<char, CommitId> _previous = [];
    private readonly PipelineOptions _options = new() { CheckpointLogRecords = 4 };
    private readonly CommitLedger _ledger;
    private readonly BlockImage _image;
    private LeaderState _state;
    private double _now;
    private bool _isImageAtEnd = true, _holdsLease = true;

    public LeaderSessionTests()
    {
        var store = new MemoryBlockStore(new MemoryBlockMedium());
        var head = store.OpenAsync(default).AsTask().GetAwaiter().GetResult();
        var recovered = Recovery.LoadAsync(store, head, new RecoveryOptions(), default).AsTask().GetAwaiter().GetResult();
        (_ledger, _image) = (new CommitLedger(recovered), recovered.Image);
        _state = new LeaderState(Tab('L'), Fence, _ledger.End, _options);
    }

    /// <summary>
    /// A script of requests, and the effects that its last one must have, in order. Requests: <c>A:ab</c> (A sends commits a and b, each
    /// built on the one before; <c>A:c/a</c>: c is built on a, <c>/0</c> on the empty database), <c>A?a</c> (what became of it), <c>A+1</c>
    /// (asks for the turn, as its request 1), <c>L!1</c> (takes it), <c>A-1</c> (gives it back), <c>gone:A</c>, <c>beat</c>,
    /// <c>A=ab</c> (a group of statements, behind A's last commit that is known here; <c>A=ab/c</c>: behind c, <c>/0</c>: behind none), <c>ran:a</c>, <c>fail:a</c>, <c>unfit:a</c> (how they ended), <c>idle</c>
    /// and <c>stuck</c> (no more are run for now, or cannot be), <c>go</c>
    /// (continue), <c>ok</c>, <c>full</c>, <c>fenced</c>, <c>lost</c> (how the store's transaction ended); <c>@t</c> sets the time,
    /// <c>behind</c> the image behind the log, <c>void</c> the lease out of time, <c>held</c> in time again, <c>end</c> ends it. Effects: <c>write:ab</c>, <c>fold</c>,
    /// <c>soon</c>, <c>has:A:a</c> (it is durable), <c>no:A:a</c> (refused), <c>full:A:a</c> (refused for that), <c>send:A:a</c> (the bytes
    /// never came), <c>turn:A1=a+bc</c> (the turn of request 1, built on a; b and c are accepted and not durable), <c>over:why</c>, <c>run</c>
    /// (statements).
    /// </summary>
    [Theory]
    // Commits.
    [InlineData("A:a", "soon", "another tab's commit waits for those that come in the same moment")]
    [InlineData("A:a go", "write:a", "and is appended then")]
    [InlineData("L:a", "write:a", "the leader's own is appended at once")]
    [InlineData("L:abc", "write:abc", "several in one transaction")]
    [InlineData("A:a B:b go", "write:ab", "so are those of several tabs")]
    [InlineData("L:a A:b go", "", "one transaction at a time")]
    [InlineData("L:a A:b go ok", "write:b", "those that came meanwhile go in the next")]
    [InlineData("L:a ok", "", "with nothing to do it rests")]
    [InlineData("A:a B:b/0", "no:B:b soon", "built on what is not the last accepted: stale")]
    [InlineData("A:a B:b/0 B:c/b", "no:B:c soon", "and so is what was built on that")]
    [InlineData("A:a B:b/0 go ok B:b/0", "no:B:b soon", "a refused commit is never taken, however often it comes")]
    [InlineData("A:a go A:a/0", "", "a copy of one under way changes nothing")]
    [InlineData("A:a go ok A:a/0", "has:A:a", "of one that is durable: the answer again")]
    [InlineData("A:a go B:b ok full", "full:B:b", "an append without room fails its commits")]
    [InlineData("A:a go ok A:b go A:c full", "full:A:b full:A:c", "and all that were built on them")]
    [InlineData("A:a go full A:b/0 go", "write:b", "and the history goes on where it was")]
    [InlineData("A:a go full A:a/0", "no:A:a soon", "without those that failed")]
    [InlineData("A:a go fenced", "over:Fenced", "a fenced append ends the leadership, and refuses nothing")]
    [InlineData("A:a go lost", "over:Closed", "so does a lost connection")]
    [InlineData("A:a go fenced A:b", "", "then nothing is taken")]
    [InlineData("A:a void go", "", "nothing is appended without the lease")]
    [InlineData("A:a void go held go", "write:a", "until it is known that no other tab has it")]
    [InlineData("end L:a", "", "an ended leadership takes nothing")]
    // Questions.
    [InlineData("A?a", "send:A:a", "a commit that never came is asked for")]
    [InlineData("A:a A?a", "", "one that waits is answered later")]
    [InlineData("A:a go A?a", "", "one under way, too")]
    [InlineData("A:a go ok A?a", "has:A:a", "a durable one at once")]
    [InlineData("A:a B:b/0 B?b", "no:B:b", "and a refused one")]
    // Turns.
    [InlineData("A+1", "turn:A1=0", "the turn is given when it is free")]
    [InlineData("A+1 A+1", "turn:A1=0", "a request that is sent again is answered again")]
    [InlineData("A+1 A+2", "turn:A2=0", "a later one means that the tab knows nothing of the earlier")]
    [InlineData("A+2 A+1", "", "and an earlier one is a late copy")]
    [InlineData("A+1 B+1", "", "others wait")]
    [InlineData("A+1 B+1 A-1", "turn:B1=0", "for the turn to be given back")]
    [InlineData("A+2 B+1 A-1", "", "which a late copy does not")]
    [InlineData("A+1 B+1 B-1 A-1", "", "or withdraw")]
    [InlineData("A+1 B+1 B+2 A-1", "turn:B2=0", "and are given their latest request")]
    [InlineData("A+1 B+1 C+1 A-1", "turn:B1=0", "in the order in which they asked")]
    [InlineData("A+1 B+1 A:a", "turn:B1=a+a soon", "the turn ends with the commit, which the next is built on before it is durable")]
    [InlineData("A+1 B+1 A:a go ok B:b go C+1", "turn:C1=b+b", "and the next one's with its own")]
    [InlineData("A+1 B:b", "no:B:b soon", "who has no turn commits nothing while somebody has it")]
    [InlineData("A+1 B+1 A:a B:b C+1", "turn:C1=b+ab", "all that is accepted comes along")]
    [InlineData("A:a go A+1", "turn:A1=a+a", "also what is being appended")]
    [InlineData("A:a go ok A+1", "turn:A1=a", "and nothing that is durable")]
    [InlineData("A+1 B+1 gone:A", "turn:B1=0", "a tab that is gone has no turn")]
    [InlineData("A+1 B+1 gone:B A-1", "", "and waits for none")]
    [InlineData("A+1 B+1 @5.1 beat", "turn:B1=0", "a turn that was held too long goes on")]
    [InlineData("A+1 B+1 @4.9 beat", "", "but not before")]
    [InlineData("A+1 @99 beat B+1", "", "nor before somebody wants it")]
    [InlineData("A+1 B+1 @4 A+1 @8.9 beat", "", "and counts from when its tab asked for it again")]
    [InlineData("A+1 B+1 @4 A+1 @9.1 beat", "turn:B1=0", "but no longer")]
    [InlineData("L!1", "turn:L1=0", "the leader's tab takes it at once")]
    [InlineData("A+1 L!1", "", "unless somebody has it")]
    [InlineData("A+1 L+9 A-1", "turn:L9=0", "then it asks like the others")]
    [InlineData("L!1 L:a", "write:a", "and gives it back with its commit")]
    // Folding the log.
    [InlineData("L:abcd ok", "fold", "a log at its bound is folded")]
    [InlineData("L:abcd behind ok", "", "from an image that is where the log ends")]
    [InlineData("L:abcd behind A:e ok", "write:e", "otherwise later, and writes go on")]
    [InlineData("L:abcd ok A:e go", "", "while it is folded nothing is appended")]
    [InlineData("L:abcd ok A:e go ok", "write:e", "then it is")]
    [InlineData("L:abcd ok A:e go full", "write:e", "also when it failed")]
    [InlineData("L:abcd ok fenced", "over:Fenced", "unless another tab leads")]
    [InlineData("L:abcd ok full A:e go ok", "", "without room it is not tried again at once")]
    [InlineData("L:abcd ok full @29 beat", "", "nor within half a minute")]
    [InlineData("L:abcd ok full @31 beat", "fold", "but then")]
    [InlineData("L:abcd ok full @20 L:e full @31 beat", "fold", "also when writes were refused meanwhile")]
    [InlineData("L:abc ok @1 beat @2 beat", "", "a short log stays, however quiet it is")]
    // Statements.
    [InlineData("A=a", "run", "statements are run")]
    [InlineData("A=a B=b", "", "one run at a time")]
    [InlineData("A=a B=b L!1 ran:a ran:b go", "write:ab", "those of several tabs are appended together")]
    [InlineData("A=a ran:a", "no:A:a", "nothing is taken that was run without the turn")]
    [InlineData("A=a L!1 ran:a A=a", "", "a copy of what was run and is not durable changes nothing")]
    [InlineData("A=a A=a", "", "nor does one of what waits")]
    [InlineData("A=a L!1 ran:a go ok A=a", "has:A:a", "of what is durable: the answer again")]
    [InlineData("A=a L!1 ran:a L-1 idle A=ab", "run", "of a group that was run in part the rest is run")]
    [InlineData("A=ab L!1 fail:a", "no:A:a no:A:b", "what was sent behind one that failed is run by its tab, behind it")]
    [InlineData("A=ab L!1 fail:a idle A=ab", "no:A:a no:A:b", "and never here, however often it comes")]
    [InlineData("A=a B=b L!1 unfit:a ran:b go", "write:b", "others' are run all the same")]
    [InlineData("A=a stuck", "no:A:a", "what cannot be run is run by its tab")]
    [InlineData("A=a L!1 ran:a go ok L-1 idle A=b/a L!2 ran:b go ok L-2 idle A=a/0", "has:A:b", "a copy of an older group, which has its outcome, is not run again")]
    [InlineData("A:a go ok A=b/0", "no:A:b", "nor is one that is too old to be remembered")]
    [InlineData("A:a go ok A=b/a", "run", "behind a commit of blocks")]
    [InlineData("A=b/a", "run", "also when that is so old that nobody here knows it")]
    [InlineData("A=a L!1 ran:a go full", "full:A:a", "an append without room fails them")]
    [InlineData("A=a B+1 L!2 L+2 B-1 ran:a", "soon", "statements wait for the turn as others do")]
    [InlineData("A=a end ran:a", "", "a leadership that is over takes nothing")]
    public void Row(string script, string expected, string why)
    {
        var effects = (IReadOnlyList<LeaderEffect>)[];
        foreach (var token in script.Split(' ')) effects = Take(token);
        Assert.True(expected == string.Join(' ', effects.Select(Describe)), $"{script}: {why}. Expected '{expected}', not '{string.Join(' ', effects.Select(Describe))}'.");
    }

    [Fact]
    public void A_quiet_log_is_folded_at_a_heartbeat_before_which_nothing_was_written()
    {
        _state = new LeaderState(Tab('L'), Fence, _ledger.End, new PipelineOptions());
        for (var i = 0; i < 70; i++)
        {
            Take($"L:{(char)('0' + 1 + i)}");
            Take("ok");
        }

        Assert.Empty(Take("beat"));
        Assert.IsType<LeaderEffect.Fold>(Assert.Single(Take("beat")));
    }

    [Fact]
    public void Refused_commits_are_forgotten_oldest_first()
    {
        Take("A:a");
        for (var i = 0; i < 5000; i++)
        {
            var stray = Seal(new CommitId(Guid.NewGuid()), Position.Start, 'B');
            (_state, _) = LeaderSession.Step(_state, new LeaderRequest.Commit(Tab('B'), [stray]), Seen);
        }

        Assert.Equal(4096, _state.Refused.Count);
        Assert.Equal(4096, _state.RefusedOrder.Count());
    }

    [Fact]
    public void A_group_is_as_large_as_one_transaction_should_be()
    {
        var large = Enumerable.Range(0, 5).Select(i => Large((char)('a' + i))).ToArray();
        (_state, var effects) = LeaderSession.Step(_state, new LeaderRequest.Commit(Tab('L'), large), Seen);
        Assert.Equal(3, Assert.IsType<LeaderEffect.Append>(Assert.Single(effects)).Group.Length);
        Assert.Equal(2, _state.Waiting.Length);
    }

    public void Dispose() => _image.Dispose();

    private View Seen => new(_ledger, _isImageAtEnd, _holdsLease, TimeSpan.FromSeconds(_now));

    private IReadOnlyList<LeaderEffect> Take(string token)
    {
        switch (token)
        {
            case "behind":
                _isImageAtEnd = false;
                return [];
            case "void" or "held":
                _holdsLease = token == "held";
                return [];
            case "end":
                _state = LeaderSession.End(_state);
                return [];
            case ['@', .. var time]:
                _now = double.Parse(time, CultureInfo.InvariantCulture);
                return [];
        }

        (_state, var effects) = LeaderSession.Step(_state, Request(token), Seen);
        return effects;
    }

    private LeaderRequest Request(string token)
    {
        switch (token)
        {
            case "beat": return new LeaderRequest.Heartbeat();
            case "go": return new LeaderRequest.Continue();
            case "ok": return Ended(null);
            case "full": return Ended(new StorageQuotaException());
            case "fenced": return Ended(new FencedException(Fence.Epoch, new(9)));
            case "lost": return Ended(new StorageClosedException(StoreClosedReason.Lost));
            case "idle": return new LeaderRequest.RunEnded(false);
            case "stuck": return new LeaderRequest.RunEnded(true);
            case ['r', 'a', 'n', ':', var ran]: return new LeaderRequest.Ran(RequestOf(ran), Made(ran), false);
            case ['f', 'a', 'i', 'l', ':', var failed]: return new LeaderRequest.Ran(RequestOf(failed), null, false);
            case ['u', 'n', 'f', 'i', 't', ':', var unfit]: return new LeaderRequest.Ran(RequestOf(unfit), null, true);
            case ['g', 'o', 'n', 'e', ':', var gone]: return new LeaderRequest.TabGone(Tab(gone));
        }

        var (tab, rest) = (token[0], token[2..]);
        return token[1] switch
        {
            ':' => new LeaderRequest.Commit(Tab(tab), Chain(tab, rest)),
            '=' => new LeaderRequest.Statements(Tab(tab), PreviousOf(tab, rest), [.. rest.Split('/')[0].Select(name => new StatementRequest(Tab(tab), RequestOf(name), []))]),
            '?' => new LeaderRequest.Question(Tab(tab), PositionOf(rest[0])),
            '+' => new LeaderRequest.AskTurn(Tab(tab), long.Parse(rest, CultureInfo.InvariantCulture)),
            '-' => new LeaderRequest.ReleaseTurn(Tab(tab), long.Parse(rest, CultureInfo.InvariantCulture)),
            '!' => new LeaderRequest.TakeTurn(long.Parse(rest, CultureInfo.InvariantCulture)),
            _ => throw new ArgumentException($"'{token}' is no request.", nameof(token)),
        };
    }

    // What the store took is known to be durable before the leadership hears that the append has ended.
    private LeaderRequest Ended(StorageException? error)
    {
        if (_state.Appending.Length == 0)
        {
            if (error is null) _ledger.OnCheckpoint(_ledger.NextHead(Fence, Tab('L'), 0));
            return new LeaderRequest.Checkpointed(error);
        }

        if (error is null) foreach (var commit in _state.Appending) _ledger.Add(commit);
        return new LeaderRequest.Appended(error);
    }

    private CommitRecord[] Chain(char tab, string text)
    {
        var names = text.Split('/')[0];
        var at = text.Contains('/', StringComparison.Ordinal) ? PositionOf(text[^1]) : _state.Accepted;
        var chain = new List<CommitRecord>();
        foreach (var name in names)
        {
            if (!_commits.TryGetValue(name, out var commit)) _commits[name] = commit = Seal(IdOf(name), at, tab);
            chain.Add(commit);
            at = commit.Position;
        }

        return [.. chain];
    }

    // Known from here on, as if by its writer.
    private CommitRecord Made(char name)
    {
        var from = Array.Find(_state.Statements, one => one.Id == RequestOf(name)).From;
        return _commits[name] = CommitRecord.Seal(RequestOf(name).Under(Fence.Epoch), _state.Accepted, from, 0, 0, ChecksumKind.FastHash, [], [], _ => 0, new(1, null));
    }

    private CommitId PreviousOf(char tab, string text) =>
        text.Contains('/', StringComparison.Ordinal) ? PositionOf(text[^1]).Commit : _previous[tab] = _previous.GetValueOrDefault(tab, _ledger.LastOf(Tab(tab))?.Commit ?? CommitId.None);

    private CommitRecord Large(char name)
    {
        var ids = Enumerable.Range(0, 1200).Select(i => (uint)i).ToArray();
        var at = _commits.Count == 0 ? _state.Accepted : _commits[(char)(name - 1)].Position;
        using var extent = new Extent(0);
        return _commits[name] = CommitRecord.Seal(IdOf(name), at, Tab('L'), 0, 1200 * 4096, ChecksumKind.FastHash, ids, [], _ => extent.BlockAddress(0));
    }

    private static CommitRecord Seal(CommitId id, Position at, char writer) =>
        CommitRecord.Seal(id, at, Tab(writer), 0, 0, ChecksumKind.FastHash, [], [], _ => 0);

    private static TabId Tab(char name) => TabId.Parse($"00000000-0000-7000-8000-0000000000{(int)name:x2}");

    private static CommitId IdOf(char name) => new(Guid.Parse($"00000000-0000-0000-0000-0000000000{(int)name:x2}"));

    private Position PositionOf(char name) =>
        name == '0' ? Position.Start : _commits.TryGetValue(name, out var commit) ? commit.Position : new(1, IdOf(name));

    private static CommitId RequestOf(char name) => new(new Guid(name, 0, 0, new byte[8]));

    private static char NameOf(CommitId id) => id.Value.ToByteArray()[0] is > 0 and var request ? (char)request : id == Position.Start.Commit ? '0' : (char)id.Value.ToByteArray()[15];

    private static char NameOf(TabId id) => (char)id.ToGuid().ToByteArray()[15];

    private static string Describe(LeaderEffect effect) => effect switch
    {
        LeaderEffect.Append(var group) => $"write:{Names(group)}",
        LeaderEffect.Fold => "fold",
        LeaderEffect.ContinueSoon => "soon",
        LeaderEffect.RunStatements => "run",
        LeaderEffect.AnswerCommitted(var to, var position) => $"has:{NameOf(to)}:{NameOf(position.Commit)}",
        LeaderEffect.AnswerRefused(var to, var position, var code, _) => $"{(code == StorageErrorCode.Stale ? "no" : "full")}:{NameOf(to)}:{NameOf(position.Commit)}",
        LeaderEffect.AskForCommit(var from, var position) => $"send:{NameOf(from)}:{NameOf(position.Commit)}",
        LeaderEffect.Grant(var to, { Accepted.Count: 0 } turn) => $"turn:{NameOf(to)}{turn.Number}={NameOf(turn.Base.Commit)}",
        LeaderEffect.Grant(var to, var turn) => $"turn:{NameOf(to)}{turn.Number}={NameOf(turn.Base.Commit)}+{Names(turn.Accepted)}",
        LeaderEffect.EndLeadership(var error) => $"over:{(error is null ? "-" : error.Code.ToString())}",
        _ => effect.ToString(),
    };

    private sealed record View(CommitLedger Ledger, bool IsImageAtEnd, bool HoldsLease, TimeSpan Now) : ILeaderView;

    private static string Names(IEnumerable<CommitRecord> commits) => string.Concat(commits.Select(c => NameOf(c.Id)));
}
