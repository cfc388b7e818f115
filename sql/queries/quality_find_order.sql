-- Streams whose times step back along the ids: rows that do, out of how many, the longest step in seconds, and where they are. Rows without
-- ids stand in the order of time: there is nothing to see. The key alone is read.
with along as (
    select
        'raw_trades' as relation,
        t.instrument,
        t.event_time,
        lag(t.event_time) over (partition by t.instrument, t.space order by t.sequence) as time_before
    from raw_trades as t
    where
        t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space <> 'ordinal'
        and (%(instruments)s::text[] is null or t.instrument = any(%(instruments)s))
    union all
    select
        'raw_agg_trades',
        a.instrument,
        a.event_time,
        lag(a.event_time) over (partition by a.instrument, a.space order by a.sequence)
    from raw_agg_trades as a
    where
        a.event_time >= %(from_time)s and a.event_time < %(to_time)s and a.space <> 'ordinal'
        and (%(instruments)s::text[] is null or a.instrument = any(%(instruments)s))
    union all
    select
        'raw_quotes',
        q.instrument,
        q.event_time,
        lag(q.event_time) over (partition by q.instrument, q.space order by q.sequence)
    from raw_quotes as q
    where
        q.event_time >= %(from_time)s and q.event_time < %(to_time)s and q.space <> 'ordinal'
        and (%(instruments)s::text[] is null or q.instrument = any(%(instruments)s))
)

select
    a.relation,
    a.instrument,
    min(a.event_time) as from_time,
    max(a.time_before) as last_time,
    count(*) as broken,
    extract(epoch from max(a.time_before - a.event_time))::double precision as longest_step_seconds
from along as a
where a.event_time < a.time_before
group by a.relation, a.instrument
order by a.relation, a.instrument;
