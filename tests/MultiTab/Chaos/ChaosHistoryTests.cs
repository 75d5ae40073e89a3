using Xunit;

namespace DataSync.MultiTab.Chaos;

/// <summary>The judge, judged: it must find what it is there for.</summary>
public sealed class ChaosHistoryTests
{
    private readonly ChaosHistory history = new();
    private readonly List<Row> rows = [];
    private long now;
    private long marker;

    public ChaosHistoryTests() => history.Open("g", ++now);

    [Fact]
    public void A_history_that_is_as_it_was_told_is_right()
    {
        Write("a", 1);
        Write("b", 1, parts: 2);
        var open = history.Begin("a", 2, 1, "g", ++now);
        Write("b", 2);
        Put(open);
        history.Begin("c", 1, 1, "g", ++now);
        history.Refuse(history.Begin("c", 2, 1, "g", ++now), ++now);
        Assert.Empty(Judge());
        Assert.Equal((1, 3), (history.Resolved, history.Count(Outcome.Acknowledged)));
    }

    [Fact]
    public void A_write_that_is_lost_is_found()
    {
        Write("a", 1);
        Acknowledge(history.Begin("a", 2, 1, "g", ++now), lastRow: 2);
        Assert.Contains("a/2", Assert.Single(Judge()), StringComparison.Ordinal);
        Assert.Equal(1, history.Lost);
    }

    [Fact]
    public void A_write_in_the_place_of_another_one_is_found()
    {
        Write("a", 1);
        var replaced = history.Begin("b", 1, 1, "g", ++now);
        Acknowledge(replaced, lastRow: 1);
        Assert.Contains(Judge(), violation => violation.Contains("b/1", StringComparison.Ordinal));
        Assert.Equal(1, history.Lost);
    }

    [Fact]
    public void A_write_that_is_there_twice_is_found()
    {
        Put(Write("a", 1));
        Assert.NotEmpty(Judge());
        Assert.Equal(1, history.Doubled);
    }

    [Fact]
    public void A_refused_write_that_is_there_is_found()
    {
        var refused = history.Begin("a", 1, 1, "g", ++now);
        history.Refuse(refused, ++now);
        Put(refused);
        Assert.Contains("refused", Assert.Single(Judge()), StringComparison.Ordinal);
    }

    [Fact]
    public void Half_a_transaction_is_found()
    {
        Write("a", 1);
        Put(history.Begin("a", 2, 2, "g", ++now), parts: 1);
        Write("a", 3);
        Assert.Contains(Judge(), violation => violation.Contains("in part", StringComparison.Ordinal));
    }

    [Fact]
    public void A_write_between_the_parts_of_another_one_is_found()
    {
        var torn = history.Begin("a", 1, 2, "g", ++now);
        rows.Add(new(1, "a", 1, 1, 2, 0, "g"));
        Write("b", 1);
        rows.Add(new(3, "a", 1, 2, 2, 2, "g"));
        Acknowledge(torn, lastRow: 3);
        Assert.NotEmpty(Judge());
    }

    [Fact]
    public void An_order_that_is_not_that_of_the_clock_is_found()
    {
        var first = history.Begin("a", 1, 1, "g", ++now);
        history.Acknowledge(first, 1, 2, ++now);
        var second = history.Begin("b", 1, 1, "g", ++now);
        history.Acknowledge(second, 2, 1, ++now);
        Put(second);
        Put(first);
        Assert.Contains(Judge(), violation => violation.Contains("was answered before", StringComparison.Ordinal));
    }

    [Fact]
    public void Markers_that_do_not_rise_are_found()
    {
        var first = history.Begin("a", 1, 1, "g", ++now);
        var second = history.Begin("b", 1, 1, "g", ++now);
        history.Acknowledge(first, 1, 2, ++now);
        history.Acknowledge(second, 2, 1, ++now);
        Put(second);
        Put(first);
        Assert.Contains("comes after", Assert.Single(Judge()), StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_that_nobody_wrote_and_rows_on_a_wrong_ground_are_found()
    {
        rows.Add(new(1, "z", 1, 1, 1, 0, "g"));
        Assert.Contains("nobody", Assert.Single(Judge()), StringComparison.Ordinal);
        history.Read("r", "g", 1, [new(2, "a", 1, 1, 1, 0, "g")]);
        Assert.Equal(2, history.Violations.Count);
    }

    [Fact]
    public void Two_readers_that_see_different_rows_are_found()
    {
        history.Read("r", "g", 0, [new(1, "a", 1, 1, 1, 0, "g")]);
        history.Read("s", "g", 0, [new(1, "b", 1, 1, 1, 0, "g")]);
        Assert.Contains("where others read", Assert.Single(history.Violations), StringComparison.Ordinal);
    }

    [Fact]
    public void After_a_deletion_what_was_before_may_be_gone_and_must_not_come_back()
    {
        Acknowledge(history.Begin("a", 1, 1, "g", ++now), lastRow: 1);
        history.Delete(++now, ++now, ["g"]);
        var loaded = ++now;
        history.Open("h", loaded);
        Acknowledge(history.Begin("b", 1, 1, "h", ++now), lastRow: 1);
        history.Read("r", "h", 0, [new(1, "b", 1, 1, 1, 0, "h")]);
        history.Judge("h");
        Assert.Empty(history.Violations);

        history.Open("g", loaded);
        Assert.Contains("of before", Assert.Single(history.Violations), StringComparison.Ordinal);
        history.Read("r", "h", 1, [new(2, "a", 1, 1, 1, 1, "g")]);
        Assert.Equal(2, history.Violations.Count);
    }

    [Fact]
    public void What_was_acknowledged_after_a_deletion_must_be_there()
    {
        history.Delete(++now, ++now, ["g"]);
        history.Open("h", ++now);
        Acknowledge(history.Begin("b", 1, 1, "h", ++now), lastRow: 1);
        history.Judge("h");
        Assert.Equal(1, history.Lost);
        Acknowledge(history.Begin("b", 2, 1, "h", ++now), lastRow: 2);
        history.Open("i", ++now);
        history.Judge("i");
        Assert.Contains(history.Violations, violation => violation.Contains("after the last deletion", StringComparison.Ordinal));
    }

    private IReadOnlyList<string> Judge()
    {
        history.Read("r", "g", 0, rows);
        history.Judge("g");
        return history.Violations;
    }

    private Operation Write(string writer, int n, int parts = 1)
    {
        var operation = history.Begin(writer, n, parts, "g", ++now);
        Put(operation);
        Acknowledge(operation, rows.Count);
        return operation;
    }

    private void Acknowledge(Operation operation, long lastRow) => history.Acknowledge(operation, ++marker, lastRow, ++now);

    private void Put(Operation operation, int? parts = null)
    {
        for (var part = 1; part <= (parts ?? operation.Parts); part++)
        {
            rows.Add(new(rows.Count + 1, operation.Writer, operation.N, part, operation.Parts, rows.Count, operation.Generation));
        }
    }
}
