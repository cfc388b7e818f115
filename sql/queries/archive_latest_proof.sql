-- The last proof of a partition.
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
    p.known_at
from archive_proofs as p
where p.relation = %(relation)s and p.partition_start = %(partition_start)s
order by p.proof_id desc
limit 1;
