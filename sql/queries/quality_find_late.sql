-- Rows that were received later after their event than is allowed: how many of each stream, out of how many that say when they were
-- received, and the longest lag in seconds.
select
    b.relation,
    b.instrument,
    min(b.first_time) filter (where b.late > 0) as from_time,
    max(b.last_time) filter (where b.late > 0) as last_time,
    sum(b.late)::bigint as broken,
    sum(b.received)::bigint as examined,
    max(b.longest_lag) as longest_lag_seconds
from quality_tick_buckets as b
group by b.relation, b.instrument
having sum(b.late) > 0
order by b.relation, b.instrument;
