-- A proof by its number.
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
where p.proof_id = %(proof_id)s;
