using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace DataSync.Storage;

/// <summary>
/// The meter <c>DataSync.Storage</c>. Every instrument carries the tag <c>datasync.scope</c> (the database's name).
/// </summary>
internal sealed class StorageMetrics : IDisposable
{
    public const string MeterName = "DataSync.Storage";

    private readonly Meter _meter = new(MeterName);
    private readonly TagList _tags;
    private readonly Counter<long> _commits;
    private readonly Counter<long> _bytes;
    private readonly Histogram<double> _latency;
    private readonly Counter<long> _stale;
    private readonly Counter<long> _failed;
    private readonly Counter<long> _fenced;
    private readonly Counter<long> _checkpoints;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _catchUps;
    private readonly Counter<long> _reloads;
    private readonly Gauge<long> _inFlight;
    private readonly Gauge<long> _logRecords;
    private readonly Gauge<long> _logBytes;
    private readonly Gauge<long> _dirtyBlocks;
    private readonly Gauge<long> _dirtyBytes;
    private readonly Histogram<double> _syncs;
    private readonly Counter<long> _reruns;
    private readonly UpDownCounter<long> _backpressure;
    private readonly Counter<long> _statements;
    private readonly Counter<long> _loaded;
    private readonly Counter<long> _evicted;

    public StorageMetrics(string scope)
    {
        _tags = new TagList { { "datasync.scope", scope } };
        _commits = _meter.CreateCounter<long>("datasync.commits", "{commit}", "Durable commits of any tab that this tab shows.");
        _bytes = _meter.CreateCounter<long>("datasync.commit.bytes", "By", "Bytes of those commits.");
        _latency = _meter.CreateHistogram<double>("datasync.commit.duration", "ms", "From sealing a commit of this tab to knowing that it is durable.");
        _stale = _meter.CreateCounter<long>("datasync.commits.stale", "{commit}", "Commits of this tab that another tab's came before.");
        _failed = _meter.CreateCounter<long>("datasync.commits.failed", "{commit}", "Commits of this tab that failed.");
        _fenced = _meter.CreateCounter<long>("datasync.appends.fenced", "{append}", "Writes that the store refused because a newer epoch had begun.");
        _checkpoints = _meter.CreateCounter<long>("datasync.checkpoints", "{checkpoint}", "Checkpoints that this tab wrote.");
        _dropped = _meter.CreateCounter<long>("datasync.messages.dropped", "{message}", "Messages dropped because they did not parse.");
        _catchUps = _meter.CreateCounter<long>("datasync.catchups", "{read}", "Readings of the log because messages were missed.");
        _reloads = _meter.CreateCounter<long>("datasync.reloads", "{read}", "Readings of the whole store because the log was folded meanwhile.");
        _inFlight = _meter.CreateGauge<long>("datasync.commits.inflight", "{commit}", "Commits in the image that are not durable yet.");
        _logRecords = _meter.CreateGauge<long>("datasync.log.records", "{record}", "Log records not yet folded into extents.");
        _logBytes = _meter.CreateGauge<long>("datasync.log.bytes", "By", "Bytes of those records.");
        _dirtyBlocks = _meter.CreateGauge<long>("datasync.dirty.blocks", "{block}", "Blocks of deferred writes that are acknowledged and not durable.");
        _dirtyBytes = _meter.CreateGauge<long>("datasync.dirty.bytes", "By", "Bytes of those writes.");
        _syncs = _meter.CreateHistogram<double>("datasync.sync.duration", "ms", "Syncs: their count and how long they took; tags trigger and outcome (ok, failed).");
        _reruns = _meter.CreateCounter<long>("datasync.reruns", "{write}", "Deferred writes that were run again after another tab's commit.");
        _statements = _meter.CreateCounter<long>("datasync.statements", "{write}", "Writes of this tab that were sent to the leader as statements; tag outcome (committed, refused).");
        _loaded = _meter.CreateCounter<long>("datasync.extents.loaded", "{extent}", "Extents that were read because they were needed (Residency.OnDemand).");
        _evicted = _meter.CreateCounter<long>("datasync.extents.evicted", "{extent}", "Extents that left memory because others were used since (Residency.OnDemand).");
        _backpressure = _meter.CreateUpDownCounter<long>("datasync.backpressure", "{tab}", "1 while deferred writes wait because too much is not durable.");
    }

    public void OnCommitted(CommitRecord commit)
    {
        _commits.Add(1, _tags);
        _bytes.Add(commit.Bytes.Length, _tags);
    }

    public void OnAcknowledged(TimeSpan latency) => _latency.Record(latency.TotalMilliseconds, _tags);

    public void OnFailed(StorageException error) => (error is StaleCommitException ? _stale : _failed).Add(1, _tags);

    public void OnFenced() => _fenced.Add(1, _tags);

    public void OnCheckpoint() => _checkpoints.Add(1, _tags);

    public void OnDropped() => _dropped.Add(1, _tags);

    public void OnCatchUp() => _catchUps.Add(1, _tags);

    public void OnReload() => _reloads.Add(1, _tags);

    public void OnImage(int inFlight, int logRecords, long logBytes)
    {
        _inFlight.Record(inFlight, _tags);
        _logRecords.Record(logRecords, _tags);
        _logBytes.Record(logBytes, _tags);
    }

    public void OnDirty(int blocks, long bytes)
    {
        _dirtyBlocks.Record(blocks, _tags);
        _dirtyBytes.Record(bytes, _tags);
    }

    public void OnSync(SyncTrigger trigger, TimeSpan duration, bool isOk)
    {
        var tags = _tags;
        tags.Add("trigger", trigger.ToString());
        tags.Add("outcome", isOk ? "ok" : "failed");
        _syncs.Record(duration.TotalMilliseconds, tags);
    }

    public void OnRerun() => _reruns.Add(1, _tags);

    public void OnStatements(bool isRefused)
    {
        var tags = _tags;
        tags.Add("outcome", isRefused ? "refused" : "committed");
        _statements.Add(1, tags);
    }

    public void OnLoaded(int extents) => _loaded.Add(extents, _tags);

    public void OnEvicted(int extents) => _evicted.Add(extents, _tags);

    public void OnBackpressure(bool isOn) => _backpressure.Add(isOn ? 1 : -1, _tags);

    public void Dispose() => _meter.Dispose();
}
