-- Stretches in which a stream says the same again and again while messages go on: buckets of which all rows are equal, and equal to those
-- of the bucket before. How often a row equals the one before it elsewhere that day says how improbable such a stretch is by chance.
with usual as (
    select
        b.relation,
        b.instrument,
        sum(b.row_count) as row_count,
        sum(case when b.is_constant then b.row_count - 1 else 0 end + b.continues::int) as repeats
    from quality_tick_buckets as b
    group by b.relation, b.instrument
),

numbered as (
    select
        b.relation,
        b.instrument,
        b.first_time,
        b.last_time,
        b.row_count,
        b.continues,
        count(*) filter (where not b.continues) over (partition by b.relation, b.instrument order by b.bucket) as stretch
    from quality_tick_buckets as b
    where b.is_constant and (b.continues or b.is_continued or b.row_count >= 50)
),

stretches as (
    select
        n.relation,
        n.instrument,
        min(n.first_time) as from_time,
        max(n.last_time) as last_time,
        sum(n.row_count) as row_count
    from numbered as n
    group by n.relation, n.instrument, n.stretch
    having sum(n.row_count) >= 10
),

measured as (
    select
        s.*,
        u.row_count as all_rows,
        extract(epoch from s.last_time - s.from_time)::double precision as seconds,
        ((u.repeats - s.row_count + 2) / (u.row_count - s.row_count + 2))::double precision as usual_share
    from stretches as s
    inner join usual as u on s.relation = u.relation and s.instrument = u.instrument
)

select
    m.relation,
    m.instrument,
    m.from_time,
    m.last_time,
    m.row_count::bigint as broken,
    m.all_rows::bigint as examined,
    m.seconds,
    m.usual_share
from measured as m
inner join quality_thresholds as h on m.instrument = h.instrument
where
    -- Fewer than one in a thousand million days would have such a stretch by chance.
    ln(m.all_rows::double precision) + (m.row_count - 1)::double precision * ln(m.usual_share) < ln(1e-9::double precision)
    and (
        m.seconds >= h.frozen_seconds
        or (m.seconds >= h.frozen_seconds / 20 and m.row_count >= 50 and m.usual_share < 0.2)
    )
order by m.relation, m.instrument, m.from_time;
