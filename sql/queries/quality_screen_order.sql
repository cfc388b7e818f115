-- Instruments of which times step back along the ids of one stream, at the rows of the times that are looked at: with all rows between the
-- ids of these, and the ones beside them, at whatever time.
with touched as (
    select
        t.instrument,
        t.space,
        min(t.sequence) as first_sequence,
        max(t.sequence) as last_sequence
    from {table} as t
    inner join quality_thresholds as h on t.instrument = h.instrument and t.event_time >= h.from_time and t.event_time < h.to_time
    where t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space <> 'ordinal'
    group by t.instrument, t.space
),

-- Materialised: else the rows beside are looked up again for every row.
rows_beside as materialized (
    select
        t.instrument,
        t.space,
        coalesce(
            (
                select max(b.sequence) from {table} as b
                where
                    b.instrument = t.instrument and b.space = t.space and b.sequence < t.first_sequence
                    and b.event_time >= %(day_start)s and b.event_time < %(day_end)s
            ),
            t.first_sequence
        ) as first_sequence,
        coalesce(
            (
                select min(b.sequence) from {table} as b
                where
                    b.instrument = t.instrument and b.space = t.space and b.sequence > t.last_sequence
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
    from {table} as t
    inner join rows_beside as r
        on t.instrument = r.instrument and t.space = r.space and t.sequence between r.first_sequence and r.last_sequence
    where t.event_time >= %(day_start)s and t.event_time < %(day_end)s
)

select distinct a.instrument
from along as a
where a.event_time < a.time_before
order by a.instrument;
