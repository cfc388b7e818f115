-- Every proof of each archived partition whose days touch a window: each is a snapshot that can be read while its files are there.
select
    p.proof_id,
    p.relation,
    p.partition_start,
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
    p.proven_at,
    p.proven_by,
    p.run_id
from archive_proofs as p
where
    (
        %(since)s::timestamptz is null
        -- Of a month it is enough that it touches the window.
        or (p.partition_start + interval '1 month') at time zone 'UTC' > %(since)s
    )
    and (%(until)s::timestamptz is null or p.partition_start::timestamp at time zone 'UTC' < %(until)s)
order by p.relation, p.partition_start, p.proof_id;
