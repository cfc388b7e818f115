-- One instrument's day as stored, judged by consecutive ids: ends, count and holes, in the order of the ids.
with ordered as (
    select
        t.sequence,
        t.event_time,
        lag(t.sequence) over by_id as sequence_before,
        lag(t.event_time) over by_id as time_before
    from raw_trades as t
    where
        t.instrument = %(instrument)s and t.space = %(space)s
        and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    window by_id as (order by t.sequence)
)

select
    count(*) as row_count,
    min(o.event_time) as first_time,
    max(o.event_time) as last_time,
    min(o.sequence) as first_sequence,
    max(o.sequence) as last_sequence,
    (array_agg(o.event_time order by o.sequence))[1] as first_id_time,
    (array_agg(o.event_time order by o.sequence desc))[1] as last_id_time,
    coalesce(
        array_agg(
            array[o.sequence_before, (extract(epoch from o.time_before) * 1000000)::bigint, o.sequence, (extract(epoch from o.event_time) * 1000000)::bigint]
            order by o.sequence
        ) filter (where o.sequence - o.sequence_before > 1),
        '{}'
    ) as holes
from ordered as o;
