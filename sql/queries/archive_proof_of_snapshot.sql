-- The proof of a partition by its snapshot, and since when its files are not kept any more.
select
    p.proof_id,
    p.snapshot_id,
    p.files,
    p.row_count,
    p.size_bytes,
    p.content,
    p.sums,
    p.bounds,
    p.bars,
    p.log_mark,
    p.known_at,
    (
        select min(r.at)
        from retention_log as r
        where
            r.relation = p.relation and r.partition_start = p.partition_start and r.proof_id = p.proof_id
            and r.action = 'expire' and not r.is_dry_run
    ) as expired_at
from archive_proofs as p
where p.relation = %(relation)s and p.partition_start = %(partition_start)s and p.snapshot_id = %(snapshot_id)s
order by p.proof_id desc
limit 1;
