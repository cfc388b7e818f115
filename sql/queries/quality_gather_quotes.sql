-- Gathers a day's quotes of some instruments in ten seconds each, in one pass: the envelope of bid and ask, what is crossed or locked, and
-- as for trades. Two rows tell the same where both prices and both sizes are equal.
insert into quality_tick_buckets (
    relation, instrument, bucket, row_count, first_time, last_time, low, high, mean, received, shortest_lag, longest_lag, late, crossed,
    locked, worst_crossing_bps, bucket_before, bucket_after, low_before, high_before, mean_before, mean_after, is_constant, continues,
    is_continued
)
with gathered as (
    select
        h.number,
        g.bucket,
        count(*) as row_count,
        min(g.event_time) as first_time,
        max(g.event_time) as last_time,
        min(g.bid) as low,
        max(g.ask) as high,
        count(g.received_after) as received,
        min(g.received_after) as shortest_lag,
        max(g.received_after) as longest_lag,
        count(*) filter (where g.received_after > h.late_after) as late,
        min(g.told) as least_told,
        max(g.told) as greatest_told,
        count(*) filter (where g.is_crossed) as crossed,
        count(*) filter (where g.is_locked) as locked,
        max((g.bid - g.ask) / g.ask * 10000) filter (where g.is_crossed) as worst_crossing_bps
    from (
        select
            q.instrument,
            q.event_time,
            q.bid_price as bid,
            q.ask_price as ask,
            q.bid_price > q.ask_price as is_crossed,
            q.bid_price = q.ask_price as is_locked,
            told_by_quote(q.bid_price, q.bid_size, q.ask_price, q.ask_size) as told,
            q.received_at - q.event_time as received_after,
            date_bin('10 seconds', q.event_time, timestamptz '2000-01-01 00:00:00+00') as bucket
        from raw_quotes as q
        where
            q.event_time >= %(from_time)s and q.event_time < %(to_time)s
            and (%(instruments)s::text[] is null or q.instrument = any(%(instruments)s))
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
    group by h.number, g.bucket
)

select
    'raw_quotes',
    n.instrument,
    b.bucket,
    b.row_count,
    b.first_time,
    b.last_time,
    b.low,
    b.high,
    null,
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
    null,
    null,
    b.least_told = b.greatest_told,
    coalesce(b.least_told = lag(b.greatest_told) over by_time and b.greatest_told = lag(b.least_told) over by_time, false),
    coalesce(b.least_told = lead(b.greatest_told) over by_time and b.greatest_told = lead(b.least_told) over by_time, false)
from gathered as b
inner join quality_thresholds as n on b.number = n.number
window by_time as (partition by b.number order by b.bucket);
