-- Streams whose times step back along the ids: rows that do, out of how many, the longest step in seconds, and where it is.
select
    b.relation,
    b.instrument,
    min(b.first_time) filter (where b.steps_back > 0) as from_time,
    max(b.last_time) filter (where b.steps_back > 0) as last_time,
    sum(b.steps_back)::bigint as broken,
    sum(b.row_count)::bigint as examined,
    max(b.longest_step_seconds) as longest_step_seconds
from quality_tick_buckets as b
group by b.relation, b.instrument
having sum(b.steps_back) > 0
order by b.relation, b.instrument;
