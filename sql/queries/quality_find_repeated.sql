-- Stretches without ids in which every moment tells each of its rows an even number of times: what a block looks like that was delivered
-- twice. Equal rows of one moment may be two trades: how often a moment of that day is such by chance says how improbable a stretch is.
-- Only where several rows of ten minutes are told twice at one moment it is looked at closely.
with pairs as (
    select
        e.instrument,
        date_bin('10 minutes', e.event_time, timestamptz '2000-01-01 00:00:00+00') as since,
        count(*) as pairs
    from (
        select
            min(t.instrument) as instrument,
            t.event_time
        from raw_trades as t
        where
            t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space = 'ordinal'
            and (%(instruments)s::text[] is null or t.instrument = any(%(instruments)s))
        group by hashtextextended(t.instrument, told_by_trade(t.price, t.size, null)), t.event_time
        having count(*) > 1
        union all
        select
            min(q.instrument),
            q.event_time
        from raw_quotes as q
        where
            q.event_time >= %(from_time)s and q.event_time < %(to_time)s and q.space = 'ordinal'
            and (%(instruments)s::text[] is null or q.instrument = any(%(instruments)s))
        group by hashtextextended(q.instrument, told_by_quote(q.bid_price, q.bid_size, q.ask_price, q.ask_size)), q.event_time
        having count(*) > 1
    ) as e
    group by e.instrument, since
),

-- With the ten minutes on both sides: a block may begin or end there.
suspected as (
    select distinct
        p.instrument,
        p.since + beside.minutes as since
    from pairs as p
    cross join (values (interval '-10 minutes'), (interval '0'), (interval '10 minutes')) as beside (minutes)
    where p.pairs >= 3
),

told as (
    select
        'raw_trades' as relation,
        t.instrument,
        t.event_time,
        told_by_trade(t.price, t.size, t.side) as told
    from raw_trades as t
    where
        t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.space = 'ordinal'
        and (t.instrument, date_bin('10 minutes', t.event_time, timestamptz '2000-01-01 00:00:00+00')) in (
            select s.instrument, s.since from suspected as s
        )
    union all
    select
        'raw_quotes',
        q.instrument,
        q.event_time,
        told_by_quote(q.bid_price, q.bid_size, q.ask_price, q.ask_size)
    from raw_quotes as q
    where
        q.event_time >= %(from_time)s and q.event_time < %(to_time)s and q.space = 'ordinal'
        and (q.instrument, date_bin('10 minutes', q.event_time, timestamptz '2000-01-01 00:00:00+00')) in (
            select s.instrument, s.since from suspected as s
        )
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
        bool_and(mod(v.copies, 2) = 0) as is_even,
        min(v.told) as least_told,
        max(v.told) as greatest_told
    from valued as v
    group by v.relation, v.instrument, v.event_time
),

numbered as (
    select
        m.*,
        count(*) filter (where not m.is_even) over (partition by m.relation, m.instrument order by m.event_time) as stretch
    from moments as m
),

-- Of the whole day: rows that are told twice at one moment, out of all.
usual as (
    select
        b.relation,
        b.instrument,
        sum(b.row_count) as row_count,
        (select coalesce(sum(p.pairs), 0) from pairs as p where p.instrument = b.instrument) as pairs
    from quality_tick_buckets as b
    group by b.relation, b.instrument
),

stretches as (
    select
        n.relation,
        n.instrument,
        min(n.event_time) as from_time,
        max(n.event_time) as last_time,
        count(*) as moments,
        sum(n.row_count) as row_count
    from numbered as n
    where n.is_even
    group by n.relation, n.instrument, n.stretch
    -- Where all say the same the feed is frozen.
    having min(n.least_told) < max(n.greatest_told)
),

measured as (
    select
        s.*,
        u.row_count as all_rows,
        (greatest(u.pairs - s.row_count / 2, 0) + 1)::double precision / (u.row_count - s.row_count + 2)::double precision as usual_share
    from stretches as s
    inner join usual as u on s.relation = u.relation and s.instrument = u.instrument
)

select
    m.relation,
    m.instrument,
    m.from_time,
    m.last_time,
    (m.row_count / 2)::bigint as broken,
    m.all_rows::bigint as examined,
    m.moments,
    m.usual_share
from measured as m
where
    m.row_count >= 10
    and ln(m.all_rows::double precision) + m.moments * ln(m.usual_share) < ln(1e-6::double precision)
order by m.relation, m.instrument, m.from_time;
