-- The proof of a partition that held at a time, or the one of a number.
select p.proof_id
from archive_proofs as p
where
    p.relation = %(relation)s and p.partition_start = %(partition_start)s
    and (%(proof_id)s::bigint is null or p.proof_id = %(proof_id)s)
    and (%(as_of)s::timestamptz is null or p.proven_at <= %(as_of)s)
order by p.proof_id desc
limit 1;
