-- The tiers of some partitions, but for those that are hot.
select
    t.relation,
    t.partition_start,
    t.tier,
    t.row_count,
    t.size_bytes,
    t.proof_id,
    t.restored,
    t.restored_until
from partition_tiers as t
inner join unnest(%(relations)s::text[], %(partitions)s::date[]) as u (relation, partition_start)
    on t.relation = u.relation and t.partition_start = u.partition_start
order by t.relation, t.partition_start;
