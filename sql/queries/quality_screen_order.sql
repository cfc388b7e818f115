-- Instruments of which times step back along the ids, at the rows of the times that are looked at: with all rows between the ids of these,
-- and the ones beside them, at whatever time.
with touched as (
    select
        'raw_trades' as relation,
        t.instrument,
        t.space,
        min(t.sequence) as first_sequence,
        max(t.sequence) as last_sequence
    from raw_trades as t
    inner join quality_thresholds as h on t.instrument = h.instrument and t.event_time >= h.from_time and t.event_time < h.to_time
    where t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space <> 'ordinal'
    group by t.instrument, t.space
    union all
    select
        'raw_agg_trades',
        a.instrument,
        a.space,
        min(a.sequence),
        max(a.sequence)
    from raw_agg_trades as a
    inner join quality_thresholds as h on a.instrument = h.instrument and a.event_time >= h.from_time and a.event_time < h.to_time
    where a.event_time >= %(from_time)s and a.event_time < %(to_time)s and a.space <> 'ordinal'
    group by a.instrument, a.space
    union all
    select
        'raw_quotes',
        q.instrument,
        q.space,
        min(q.sequence),
        max(q.sequence)
    from raw_quotes as q
    inner join quality_thresholds as h on q.instrument = h.instrument and q.event_time >= h.from_time and q.event_time < h.to_time
    where q.event_time >= %(from_time)s and q.event_time < %(to_time)s and q.space <> 'ordinal'
    group by q.instrument, q.space
),

rows_beside as (
    select
        t.relation,
        t.instrument,
        t.space,
        coalesce(
            (
                select max(b.sequence) from raw_trades as b
                where
                    t.relation = 'raw_trades' and b.instrument = t.instrument and b.space = t.space and b.sequence < t.first_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            (
                select max(b.sequence) from raw_agg_trades as b
                where
                    t.relation = 'raw_agg_trades' and b.instrument = t.instrument and b.space = t.space and b.sequence < t.first_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            (
                select max(b.sequence) from raw_quotes as b
                where
                    t.relation = 'raw_quotes' and b.instrument = t.instrument and b.space = t.space and b.sequence < t.first_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            t.first_sequence
        ) as first_sequence,
        coalesce(
            (
                select min(b.sequence) from raw_trades as b
                where
                    t.relation = 'raw_trades' and b.instrument = t.instrument and b.space = t.space and b.sequence > t.last_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            (
                select min(b.sequence) from raw_agg_trades as b
                where
                    t.relation = 'raw_agg_trades' and b.instrument = t.instrument and b.space = t.space and b.sequence > t.last_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            (
                select min(b.sequence) from raw_quotes as b
                where
                    t.relation = 'raw_quotes' and b.instrument = t.instrument and b.space = t.space and b.sequence > t.last_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            t.last_sequence
        ) as last_sequence
    from touched as t
),

along as (
    select
        t.instrument,
        t.event_time,
        lag(t.event_time) over (partition by t.instrument, t.space order by t.sequence) as time_before
    from raw_trades as t
    inner join rows_beside as r
        on
            r.relation = 'raw_trades' and t.instrument = r.instrument and t.space = r.space
            and t.sequence between r.first_sequence and r.last_sequence
    where t.event_time >= %(day_start)s and t.event_time < %(day_end)s
    union all
    select
        a.instrument,
        a.event_time,
        lag(a.event_time) over (partition by a.instrument, a.space order by a.sequence)
    from raw_agg_trades as a
    inner join rows_beside as r
        on
            r.relation = 'raw_agg_trades' and a.instrument = r.instrument and a.space = r.space
            and a.sequence between r.first_sequence and r.last_sequence
    where a.event_time >= %(day_start)s and a.event_time < %(day_end)s
    union all
    select
        q.instrument,
        q.event_time,
        lag(q.event_time) over (partition by q.instrument, q.space order by q.sequence)
    from raw_quotes as q
    inner join rows_beside as r
        on
            r.relation = 'raw_quotes' and q.instrument = r.instrument and q.space = r.space
            and q.sequence between r.first_sequence and r.last_sequence
    where q.event_time >= %(day_start)s and q.event_time < %(day_end)s
)

select distinct a.instrument
from along as a
where a.event_time < a.time_before
order by a.instrument;
