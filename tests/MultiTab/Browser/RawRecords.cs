using Microsoft.Playwright;

namespace DataSync.MultiTab.Browser;

/// <summary>
/// A page of the same origin that runs no DataSync: it reads and damages the records of a database by hand, and posts what it
/// likes on the channels.
/// </summary>
public sealed class RawRecords
{
    private const string Script = """
        globalThis.raw = {
          done: request => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); request.onblocked = () => reject(new Error('blocked')); }),
          async use(name, store, action) {
            const db = await raw.done(indexedDB.open('datasync:' + name));
            try {
              const transaction = db.transaction(store, 'readwrite');
              const result = await action(transaction.objectStore(store));
              await new Promise((resolve, reject) => { transaction.oncomplete = resolve; transaction.onabort = () => reject(transaction.error); });
              return result;
            } finally {
              db.close();
            }
          },
          keys: (name, store) => raw.use(name, store, s => raw.done(s.getAllKeys(IDBKeyRange.bound(0, Infinity)))),
          // All records as one text, to compare.
          dump: async name => {
            const parts = [];
            for (const store of ['head', 'log', 'extents', 'quarantine']) {
              const [keys, values] = await raw.use(name, store, async s => [await raw.done(s.getAllKeys()), await raw.done(s.getAll())]);
              for (let i = 0; i < keys.length; i++) {
                const bytes = values[i].data ?? values[i];
                const hash = bytes instanceof Uint8Array ? [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].join() : JSON.stringify(bytes);
                parts.push(`${store} ${keys[i]} ${hash}`);
              }
            }
            return parts.join('\n');
          },
          // Turns the bits of one byte; a position below zero counts from the end.
          flip: (name, store, key, at) => raw.use(name, store, async s => {
            const record = await raw.done(s.get(key));
            const bytes = record.data ?? record;
            bytes[at < 0 ? bytes.length + at : at] ^= 0xFF;
            await raw.done(s.put(record, key));
          }),
          setHead: (name, store, change) => raw.use(name, store, async s => {
            const head = await raw.done(s.get('head'));
            await raw.done(s.put({ ...head, ...change }, 'head'));
          }),
          upgrade: async (name, version) => (await raw.done(indexedDB.open('datasync:' + name, version))).close(),
          remove: name => raw.done(indexedDB.deleteDatabase('datasync:' + name)).then(() => {}),
        };
        """;

    private RawRecords(IPage page) => Page = page;

    public IPage Page { get; }

    public static async Task<RawRecords> OpenAsync(TabGroup tabs)
    {
        // Any file of the host will do: what counts is the origin.
        var page = await tabs.OpenPathAsync("/page.css");
        await page.EvaluateAsync(Script);
        return new(page);
    }

    public Task<long[]> KeysAsync(string name, string store) => Page.EvaluateAsync<long[]>($"raw.keys('{name}', '{store}')");

    /// <summary>All records of a database as one text, to compare.</summary>
    public Task<string> DumpAsync(string name) => Page.EvaluateAsync<string>($"raw.dump('{name}')");

    public Task FlipAsync(string name, string store, long key, int at) => Page.EvaluateAsync($"raw.flip('{name}', '{store}', {key}, {at})");

    /// <summary>Changes a head and its copy to another format.</summary>
    public async Task SetFormatAsync(string name, int format)
    {
        foreach (var store in new[] { "head", "extents" }) await Page.EvaluateAsync($"raw.setHead('{name}', '{store}', {{ format: {format} }})");
    }

    /// <summary>Changes a field of the head, but not of its copy.</summary>
    public Task DamageHeadAsync(string name) => Page.EvaluateAsync($"raw.setHead('{name}', 'head', {{ epoch: 0 }})");

    public Task UpgradeAsync(string name, int version) => Page.EvaluateAsync($"raw.upgrade('{name}', {version})");

    public Task RemoveAsync(string name) => Page.EvaluateAsync($"raw.remove('{name}')");
}
