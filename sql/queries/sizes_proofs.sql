-- The last proof of each archived partition with its files, and how many files were proven in the last 30 days.
select distinct on (p.relation, p.partition_start)
    p.relation,
    p.partition_start,
    p.row_count,
    p.files,
    (
        select coalesce(sum(jsonb_array_length(r.files)), 0)
        from archive_proofs as r
        where r.relation = p.relation and r.partition_start = p.partition_start and r.proven_at > %(since)s
    ) as files_of_late
from archive_proofs as p
order by p.relation asc, p.partition_start asc, p.proof_id desc;
