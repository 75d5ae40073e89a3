namespace DataSync.MultiTab.Browser;

/// <summary>
/// Tells whether a process was stopped in the very moment in which it hands a transaction to IndexedDB. That keeps the browser's database
/// to itself until it goes on (docs/DESIGN.md, Append): a test that is about something else lets it go and stops it again.
/// </summary>
internal static class StoreProbe
{
    /// <summary>How often a test stops a process again; where it meets a transaction each time, something holds the store for long.</summary>
    public const int Attempts = 8;

    /// <summary>The body of an asynchronous function of <c>arg</c>, the database's name: whether a write transaction of this page waits for longer than any that runs takes.</summary>
    public const string IsHeld =
        """
        const db = await new Promise((resolve, reject) => {
          const open = indexedDB.open('datasync:' + arg);
          open.onsuccess = () => resolve(open.result);
          open.onerror = () => reject(open.error);
        });
        try {
          return await new Promise(resolve => {
            const work = db.transaction(['head', 'log', 'extents'], 'readwrite');
            work.objectStore('log').count();
            work.oncomplete = () => resolve(false);
            setTimeout(() => resolve(true), 3000);
          });
        } finally {
          db.close();
        }
        """;
}
