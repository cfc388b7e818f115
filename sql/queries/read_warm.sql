-- Partitions of a table in a window that the database holds and nobody writes.
select
    t.partition_start,
    t.row_count,
    t.size_bytes
from partition_tiers as t
where
    t.relation = %(relation)s and t.tier = 'warm'
    and (%(first_partition)s::date is null or t.partition_start >= %(first_partition)s)
    and (%(last_partition)s::date is null or t.partition_start <= %(last_partition)s)
order by t.partition_start;
