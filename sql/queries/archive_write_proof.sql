-- Writes a proof down.
insert into archive_proofs (
    relation, partition_start, snapshot_id, files, row_count, size_bytes, content, sums, bounds, bars, log_mark, known_at, proven_at,
    proven_by, run_id
)
values (
    %(relation)s, %(partition_start)s, %(snapshot_id)s, %(files)s, %(row_count)s, %(size_bytes)s, %(content)s, %(sums)s, %(bounds)s,
    %(bars)s, %(log_mark)s, %(known_at)s, clock_timestamp(), %(proven_by)s, %(run_id)s
)
returning proof_id;
