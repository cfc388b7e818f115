-- Gathers a day's trades and aggregated trades of some instruments in ten seconds each, in one pass over each of the two tables.
-- Two rows tell the same where price, size and side are equal: a number of these three stands for them.
insert into quality_tick_buckets (
    relation, instrument, bucket, row_count, first_time, last_time, low, high, mean, received, shortest_lag, longest_lag, late, crossed,
    locked, worst_crossing_bps, bucket_before, bucket_after, low_before, high_before, mean_before, mean_after, is_constant, continues,
    is_continued
)
with gathered as (
    select
        g.is_aggregated,
        h.number,
        g.bucket,
        count(*) as row_count,
        min(g.event_time) as first_time,
        max(g.event_time) as last_time,
        min(g.price) as low,
        max(g.price) as high,
        avg(g.price) as mean,
        count(g.received_after) as received,
        min(g.received_after) as shortest_lag,
        max(g.received_after) as longest_lag,
        count(*) filter (where g.received_after > h.late_after) as late,
        min(g.told) as least_told,
        max(g.told) as greatest_told,
        0 as crossed,
        0 as locked,
        null::double precision as worst_crossing_bps
    from (
        select
            false as is_aggregated,
            t.instrument,
            t.event_time,
            t.price,
            told_by_trade(t.price, t.size, t.side) as told,
            t.received_at - t.event_time as received_after,
            date_bin('10 seconds', t.event_time, timestamptz '2000-01-01 00:00:00+00') as bucket
        from raw_trades as t
        where
            t.event_time >= %(from_time)s and t.event_time < %(to_time)s
            and (%(instruments)s::text[] is null or t.instrument = any(%(instruments)s))
        union all
        select
            true,
            a.instrument,
            a.event_time,
            a.price,
            told_by_trade(a.price, a.size, a.side),
            a.received_at - a.event_time,
            date_bin('10 seconds', a.event_time, timestamptz '2000-01-01 00:00:00+00')
        from raw_agg_trades as a
        where
            a.event_time >= %(from_time)s and a.event_time < %(to_time)s
            and (%(instruments)s::text[] is null or a.instrument = any(%(instruments)s))
    ) as g
    inner join
        (
            select
                c.instrument,
                c.number,
                c.from_time,
                c.to_time,
                make_interval(secs => c.late_seconds) as late_after
            from quality_thresholds as c
        ) as h
        on g.instrument = h.instrument and g.event_time >= h.from_time and g.event_time < h.to_time
    group by g.is_aggregated, h.number, g.bucket
)

select
    case when b.is_aggregated then 'raw_agg_trades' else 'raw_trades' end,
    n.instrument,
    b.bucket,
    b.row_count,
    b.first_time,
    b.last_time,
    b.low,
    b.high,
    b.mean,
    b.received,
    extract(epoch from b.shortest_lag),
    extract(epoch from b.longest_lag),
    b.late,
    b.crossed,
    b.locked,
    b.worst_crossing_bps,
    lag(b.bucket) over by_time,
    lead(b.bucket) over by_time,
    lag(b.low) over by_time,
    lag(b.high) over by_time,
    lag(b.mean) over by_time,
    lead(b.mean) over by_time,
    b.least_told = b.greatest_told,
    coalesce(b.least_told = lag(b.greatest_told) over by_time and b.greatest_told = lag(b.least_told) over by_time, false),
    coalesce(b.least_told = lead(b.greatest_told) over by_time and b.greatest_told = lead(b.least_told) over by_time, false)
from gathered as b
inner join quality_thresholds as n on b.number = n.number
window by_time as (partition by b.number, b.is_aggregated order by b.bucket);
