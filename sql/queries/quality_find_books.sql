-- Stretches of quotes with a bid above the ask, or equal to it: those less than a minute apart are one, and those without a sound ten
-- seconds between them.
with told as (
    select
        b.instrument,
        b.first_time,
        b.last_time,
        b.bucket,
        kinds.rule,
        kinds.broken,
        b.row_count,
        b.worst_crossing_bps,
        count(*) filter (where kinds.broken = 0) over (partition by kinds.rule, b.instrument order by b.bucket) as sound_before
    from quality_tick_buckets as b
    cross join lateral (values ('crossed_book', b.crossed), ('locked_book', b.locked)) as kinds (rule, broken)
    where
        b.relation = 'raw_quotes'
        and b.instrument in (
            select s.instrument from quality_tick_buckets as s where s.relation = 'raw_quotes' and (s.crossed > 0 or s.locked > 0)
        )
),

begun as (
    select
        b.*,
        (b.bucket - lag(b.bucket) over stretch > interval '1 minute' and b.sound_before > lag(b.sound_before) over stretch)
        is not false as begins
    from told as b
    where b.broken > 0
    window stretch as (partition by b.rule, b.instrument order by b.bucket)
),

numbered as (
    select
        b.*,
        count(*) filter (where b.begins) over (partition by b.rule, b.instrument order by b.bucket) as stretch
    from begun as b
)

select
    n.rule,
    n.instrument,
    min(n.first_time) as from_time,
    max(n.last_time) as last_time,
    sum(n.broken)::bigint as broken,
    sum(n.row_count)::bigint as examined,
    max(n.worst_crossing_bps) as worst_bps
from numbered as n
group by n.rule, n.instrument, n.stretch
order by n.rule, n.instrument, from_time;
