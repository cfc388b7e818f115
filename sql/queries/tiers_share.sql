-- Shares partitions with other writers until the transaction ends, in one order for all who do.
select count(lock_partition(p.relation, p.partition_start, false))
from (
    select
        u.relation,
        u.partition_start
    from unnest(%(relations)s::text[], %(partitions)s::date[]) as u (relation, partition_start)
    order by u.relation collate "C", u.partition_start
    offset 0
) as p;
