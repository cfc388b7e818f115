-- Stretches in which every row was received at another lag than usual that day, by more than is allowed: ten seconds of which even the
-- nearest row is too far away. Usual is the median over the day, or nothing, where the day lies before its events as a whole. What no
-- row of the usual lag parts is one stretch, however far apart its rows are. Where all lags are within what is allowed of each other, and
-- of nothing, no lag is asked for the usual one.
with suspected as (
    select
        b.relation,
        b.instrument
    from quality_tick_buckets as b
    inner join quality_thresholds as h on b.instrument = h.instrument
    where b.received > 0
    group by b.relation, b.instrument, h.clock_skew_seconds
    having max(b.shortest_lag) - min(b.shortest_lag) > h.clock_skew_seconds or min(b.shortest_lag) < -h.clock_skew_seconds
),

usual as (
    select
        b.relation,
        b.instrument,
        percentile_cont(0.5) within group (order by b.shortest_lag) as median_lag,
        sum(b.received) as received
    from quality_tick_buckets as b
    inner join suspected as s on b.relation = s.relation and b.instrument = s.instrument
    where b.received > 0
    group by b.relation, b.instrument
),

apart as (
    select
        b.relation,
        b.instrument,
        b.bucket,
        b.first_time,
        b.last_time,
        b.received,
        u.received as all_received,
        expected.lag_seconds as usual_lag,
        (b.shortest_lag + b.longest_lag) / 2 as middle_lag,
        case
            when b.shortest_lag - expected.lag_seconds > h.clock_skew_seconds then 1
            when b.longest_lag - expected.lag_seconds < -h.clock_skew_seconds then -1
        end as side
    from quality_tick_buckets as b
    inner join usual as u on b.relation = u.relation and b.instrument = u.instrument
    inner join quality_thresholds as h on b.instrument = h.instrument
    cross join
        lateral (
            select case when u.median_lag < -h.clock_skew_seconds then 0 else u.median_lag end as lag_seconds
        ) as expected
    where b.received > 0
),

begun as (
    select
        a.*,
        (a.side is distinct from lag(a.side) over by_time) as begins
    from apart as a
    window by_time as (partition by a.relation, a.instrument order by a.bucket)
),

numbered as (
    select
        b.*,
        count(*) filter (where b.begins) over (partition by b.relation, b.instrument order by b.bucket) as stretch
    from begun as b
)

select
    n.relation,
    n.instrument,
    min(n.first_time) as from_time,
    max(n.last_time) as last_time,
    sum(n.received)::bigint as broken,
    max(n.all_received)::bigint as examined,
    max(n.usual_lag) as usual_lag_seconds,
    sum(n.middle_lag * n.received) / sum(n.received) as lag_seconds
from numbered as n
where n.side is not null
group by n.relation, n.instrument, n.stretch
order by n.relation, n.instrument, from_time;
