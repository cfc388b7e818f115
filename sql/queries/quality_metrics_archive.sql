-- What the last proofs of the archive's partitions hold, by table.
select
    p.relation,
    count(*) as partitions,
    sum(p.row_count) as row_count,
    sum(p.size_bytes) as size_bytes,
    extract(epoch from max(p.proven_at)) as proven_at
from (
    select distinct on (a.relation, a.partition_start)
        a.relation,
        a.partition_start,
        a.row_count,
        a.size_bytes,
        a.proven_at
    from archive_proofs as a
    order by a.relation asc, a.partition_start asc, a.proof_id desc
) as p
group by p.relation
order by p.relation;
