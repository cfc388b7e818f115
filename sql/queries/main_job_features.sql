-- Minutes of ticks, and rows of features, which close a minute later, of some days.
select
    (select count(*) from tick_minutes as m where m.bar_start >= %(from_time)s and m.bar_start < %(to_time)s) as minutes,
    (select count(*) from features_1m as f where f.event_time > %(from_time)s and f.event_time <= %(to_time)s) as found;
