-- Instruments with a stretch without ids, in the times that are looked at, in which every moment tells each of its rows an even number of
-- times: six rows of it at least, for it may begin before or end after these times.
with told as (
    select
        'raw_trades' as relation,
        t.instrument,
        t.event_time,
        told_by_trade(t.price, t.size, t.side) as told
    from raw_trades as t
    inner join quality_thresholds as h on t.instrument = h.instrument and t.event_time >= h.from_time and t.event_time < h.to_time
    where t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space = 'ordinal'
    union all
    select
        'raw_quotes',
        q.instrument,
        q.event_time,
        told_by_quote(q.bid_price, q.bid_size, q.ask_price, q.ask_size)
    from raw_quotes as q
    inner join quality_thresholds as h on q.instrument = h.instrument and q.event_time >= h.from_time and q.event_time < h.to_time
    where q.event_time >= %(from_time)s and q.event_time < %(to_time)s and q.space = 'ordinal'
),

valued as (
    select
        t.relation,
        t.instrument,
        t.event_time,
        t.told,
        count(*) as copies
    from told as t
    group by t.relation, t.instrument, t.event_time, t.told
),

moments as (
    select
        v.relation,
        v.instrument,
        v.event_time,
        sum(v.copies) as row_count,
        bool_and(mod(v.copies, 2) = 0) as is_even
    from valued as v
    group by v.relation, v.instrument, v.event_time
),

numbered as (
    select
        m.*,
        count(*) filter (where not m.is_even) over (partition by m.relation, m.instrument order by m.event_time) as stretch
    from moments as m
)

select distinct s.instrument
from (
    select n.instrument
    from numbered as n
    where n.is_even
    group by n.relation, n.instrument, n.stretch
    having sum(n.row_count) >= 6
) as s
order by s.instrument;
