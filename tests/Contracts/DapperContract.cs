using Dapper;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Dapper's usual calls, unchanged, on a connection of DataSync in either role.</summary>
public abstract class DapperContract : TwoTabsContract
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Its_asynchronous_calls_write_and_read(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await connection.ExecuteAsync("CREATE TABLE list(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE item(id INTEGER PRIMARY KEY, listId INTEGER, text TEXT, isDone INTEGER)");
        var list = await connection.ExecuteScalarAsync<long>("INSERT INTO list(name) VALUES (@name) RETURNING id", new { name = "shopping" });
        Assert.Equal(2, await connection.ExecuteAsync("INSERT INTO item(listId, text, isDone) VALUES (@list, @text, @done)", new[] { new { list, text = "milk", done = false }, new { list, text = "bread", done = true } }));
        var added = await connection.QuerySingleAsync<Item>("INSERT INTO item(listId, text, isDone) VALUES (@list, 'eggs', 0) RETURNING *", new { list });
        Assert.Equal((3L, "eggs", false), (added.Id, added.Text, added.IsDone));
        var updated = (await connection.QueryAsync<Item>("UPDATE item SET isDone = 1 - isDone WHERE id IN @ids RETURNING *", new { ids = new[] { 1, 2 } })).OrderBy(item => item.Id).ToArray();
        Assert.Equal([true, false], updated.Select(item => item.IsDone));

        await SeeAsync(there, here.Marker);
        await using var other = await ConnectAsync(there);
        var pairs = (await other.QueryAsync<Item, ShoppingList, (Item Item, ShoppingList List)>(
            "SELECT item.*, list.* FROM item JOIN list ON list.id = item.listId ORDER BY item.id", (item, of) => (item, of), splitOn: "id")).ToArray();
        Assert.Equal(["milk", "bread", "eggs"], pairs.Select(pair => pair.Item.Text));
        Assert.All(pairs, pair => Assert.Equal("shopping", pair.List.Name));
        await using var results = await other.QueryMultipleAsync("SELECT count(*) FROM item; SELECT name FROM list");
        Assert.Equal((3L, "shopping"), (await results.ReadSingleAsync<long>(), await results.ReadSingleAsync<string>()));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Its_transactions_are_given_or_left_out(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await connection.ExecuteAsync("CREATE TABLE t(a)");
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync("INSERT INTO t VALUES (@a)", new { a = 1 }, transaction);
            await connection.ExecuteAsync("INSERT INTO t VALUES (@a)", new { a = 2 });
            Assert.Equal(2, await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM t", transaction: transaction));
            await transaction.CommitAsync();
        }

        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await connection.ExecuteAsync("DELETE FROM t", transaction: transaction);
            await transaction.RollbackAsync();
        }

        await SeeAsync(there, here.Marker);
        await using var other = await ConnectAsync(there);
        Assert.Equal([1, 2], await other.QueryAsync<int>("SELECT a FROM t ORDER BY a"));
        await other.ExecuteAsync("DELETE FROM t");
        await here.WriteAsync((inner, transaction) => inner.Execute("INSERT INTO t VALUES (3)", transaction: transaction));
        await SeeAsync(there, here.Marker);
        var rows = new List<int>();
        await foreach (var row in other.QueryUnbufferedAsync<int>("SELECT a FROM t")) rows.Add(row);
        Assert.Equal([3], rows);
    }

    private sealed class Item
    {
        public long Id { get; set; }

        public long ListId { get; set; }

        public string Text { get; set; } = "";

        public bool IsDone { get; set; }
    }

    private sealed class ShoppingList
    {
        public long Id { get; set; }

        public string Name { get; set; } = "";
    }
}
