namespace DataSync.Coordination.Tests;

/// <summary>Ids, options and the texts that tabs exchange.</summary>
public sealed class TextTests
{
    private static readonly TabId Tab = TabId.New(TimeProvider.System);

    [Fact]
    public void Tab_ids_order_by_start_time_and_survive_their_text()
    {
        var time = new VirtualClock();
        var ids = new List<TabId>();
        for (var i = 0; i < 100; i++)
        {
            ids.Add(TabId.New(time));
            time.Advance(TimeSpan.FromMilliseconds(1));
        }

        Assert.Equal(ids, ids.Order());
        Assert.All(ids, id => Assert.Equal(id, TabId.Parse(id.Value.ToUpperInvariant())));
        Assert.False(TabId.TryParse("tab", out _));
        Assert.False(TabId.TryParse(null, out _));
        Assert.Throws<FormatException>(() => TabId.Parse(""));
    }

    [Fact]
    public void A_lease_record_survives_its_text()
    {
        var records = new[]
        {
            new LeaseRecord(Tab, new Epoch(5), 17, true),
            new LeaseRecord(Tab, new Epoch(Epoch.MaxValue), 0),
            new LeaseRecord(null, new Epoch(5), 18, false, Tab),
        };
        Assert.All(records, record =>
        {
            Assert.Equal(LeaseReading.Valid, LeaseRecord.Read(record.ToText(), out var read));
            Assert.Equal(record, read);
        });
        Assert.Equal(5, records[0].Released().Epoch.Value);
        Assert.Null(records[0].Released().Holder);
    }

    [Theory]
    [InlineData(null, LeaseReading.Missing)]
    [InlineData("", LeaseReading.Garbage)]
    [InlineData("null", LeaseReading.Garbage)]
    [InlineData("{\"v\":1", LeaseReading.Garbage)]
    [InlineData("{\"v\":\"1\",\"epoch\":1,\"renewal\":1}", LeaseReading.Garbage)]
    [InlineData("{\"v\":1,\"epoch\":1.5,\"renewal\":1}", LeaseReading.Garbage)]
    [InlineData("{\"v\":1,\"epoch\":9007199254740992,\"renewal\":1}", LeaseReading.Garbage)]
    [InlineData("{\"v\":1,\"epoch\":99999999999999999999999,\"renewal\":1}", LeaseReading.Garbage)]
    [InlineData("{\"v\":1,\"epoch\":1,\"renewal\":1,\"later\":[]}", LeaseReading.Valid)]
    [InlineData("{\"v\":3}", LeaseReading.Newer)]
    public void Any_text_is_read_as_something(string? text, object expected) =>
        Assert.Equal(expected, LeaseRecord.Read(text, out _));

    [Theory]
    [InlineData(3, 3)]
    [InlineData(99, LeaseRecord.MaxPatience)]
    [InlineData(-1, 0)]
    public void No_record_makes_anybody_wait_longer_than_a_machine_can_need(int written, int read)
    {
        LeaseRecord.Read($"{{\"v\":1,\"epoch\":1,\"renewal\":1,\"patience\":{written}}}", out var record);
        Assert.Equal(read, record.Patience);
    }

    [Fact]
    public void A_message_survives_its_text_and_only_in_its_scope()
    {
        var message = new TabMessage(TabMessageKind.Request, "app \"db\"", new Epoch(3), Tab, Tab);
        Assert.True(TabMessage.TryParse(message.ToText(), "app \"db\"", out var read));
        Assert.Equal(message, read);
        Assert.False(TabMessage.TryParse(message.ToText(), "other", out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"v\":2,\"kind\":\"hello\",\"scope\":\"s\",\"epoch\":0,\"sender\":\"00000000-0000-7000-8000-00000000000a\"}")]
    [InlineData("{\"v\":1,\"kind\":\"shout\",\"scope\":\"s\",\"epoch\":0,\"sender\":\"00000000-0000-7000-8000-00000000000a\"}")]
    [InlineData("{\"v\":1,\"kind\":\"hello\",\"scope\":\"s\",\"epoch\":\"x\",\"sender\":\"00000000-0000-7000-8000-00000000000a\"}")]
    [InlineData("{\"v\":1,\"kind\":\"hello\",\"scope\":\"s\",\"epoch\":0,\"sender\":\"somebody\"}")]
    public void A_foreign_message_is_dropped(string text) => Assert.False(TabMessage.TryParse(text, "s", out _));

    [Fact]
    public void An_oversized_message_is_dropped() =>
        Assert.False(TabMessage.TryParse(new TabMessage(TabMessageKind.Hello, new string('s', 3000), default, Tab).ToText(), new string('s', 3000), out _));

    [Fact]
    public void A_dropped_message_is_counted()
    {
        using var profile = new Profile();
        long dropped = 0;
        using var listener = new System.Diagnostics.Metrics.MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Name == "datasync.coordination.messages_dropped")
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) =>
        {
            if (tags.ToArray().Any(tag => Equals(tag.Value, Profile.Scope)))
                Interlocked.Add(ref dropped, value);
        });
        listener.Start();
        var tabs = profile.Join(2);
        _ = tabs[0].Platform.PostAsync("garbage", default);
        profile.Run(0.01);
        Assert.Equal(1, dropped);
    }

    [Fact]
    public void Presence_is_judged_by_change_and_not_by_what_is_written()
    {
        var time = new VirtualClock();
        var other = TabId.New(time);
        var presence = new TabPresence(Tab, TimeSpan.FromSeconds(5), time);
        Assert.Contains(other, presence.Update([$"{other} 900"]).Live);
        time.Advance(TimeSpan.FromSeconds(4));
        Assert.Contains(other, presence.Update([$"{other} 1", "nonsense", "x y"]).Live);
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal([Tab], presence.Update([$"{other} 1"]).Live);
        time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal([other], presence.Update([$"{other} 1"]).Dead);
        Assert.Contains(other, presence.Update([$"{other} 2"]).Live);
        Assert.Contains(other, presence.Update([]).Live);
        Assert.Equal([Tab], presence.Update([$"{other} left"]).Live);
        Assert.Equal([Tab], presence.Update([]).Live);
    }

    [Fact]
    public void Options_are_checked_with_the_rules_between_them_and_copied()
    {
        new CoordinationOptions().Validate();
        Assert.Throws<ArgumentException>(() => new CoordinationOptions { Scope = " " }.Validate());
        Assert.Throws<ArgumentException>(() => new CoordinationOptions { Scope = "a\nb" }.Validate());
        Assert.Throws<ArgumentException>(() => new CoordinationOptions { Heartbeat = TimeSpan.FromSeconds(2) }.Validate());
        Assert.Throws<ArgumentException>(() => new CoordinationOptions { Grace = TimeSpan.FromSeconds(2) }.Validate());
        Assert.Throws<ArgumentException>(() => new CoordinationOptions { TakeoverTimeout = TimeSpan.Zero }.Validate());
        using var profile = new Profile();
        var options = new CoordinationOptions { Scope = "one" };
        var coordinator = new TabCoordinator(profile.Browser.OpenTab(), options, profile.Time);
        options.Scope = "two";
        Assert.Equal("one", coordinator.Scope);
    }
}
