-- Every proof of some relations, with what decides whether its files must stay. Holds are in upkeep_holds.
select
    p.proof_id,
    p.relation,
    p.partition_start,
    p.snapshot_id,
    p.files,
    p.row_count,
    p.size_bytes,
    p.proven_at,
    -- The next proof of the partition took its place.
    lead(p.proven_at) over by_partition as superseded_at,
    coalesce(t.tier, 'hot') as tier,
    exists(
        select 1
        from retention_log as r
        where
            r.relation = p.relation and r.partition_start = p.partition_start and r.proof_id = p.proof_id
            and r.action = 'expire' and not r.is_dry_run
    ) as is_expired
from archive_proofs as p
left join partition_tiers as t on p.relation = t.relation and p.partition_start = t.partition_start
where p.relation = any(%(relations)s)
window by_partition as (partition by p.relation, p.partition_start order by p.proof_id)
order by p.relation, p.partition_start, p.proof_id;
