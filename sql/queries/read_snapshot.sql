-- Partitions of a table, of which the first days lie in a window, as they were archived when a proof was written, which is named by its
-- number or its snapshot. No row: there is no such proof.
with asked as (
    select max(a.proof_id) as proof_id
    from archive_proofs as a
    where a.relation = %(relation)s and %(snapshot)s in (a.snapshot_id, a.proof_id)
),

then_latest as (
    select distinct on (a.partition_start)
        a.partition_start,
        a.proof_id,
        a.files
    from archive_proofs as a
    where
        a.relation = %(relation)s and a.proof_id <= (select w.proof_id from asked as w)
        and a.partition_start >= %(first_partition)s and a.partition_start <= %(last_partition)s
    order by a.partition_start asc, a.proof_id desc
)

select
    w.proof_id as asked_proof_id,
    l.partition_start,
    l.proof_id,
    l.files
from asked as w
left join then_latest as l on true
where w.proof_id is not null
order by l.partition_start;
