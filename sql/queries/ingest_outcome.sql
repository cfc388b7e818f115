-- What became of some landed files: per file and day the batch that took it in since it was last asked for.
select
    f.file_id,
    f.name,
    d.day,
    d.is_pending,
    d.refused,
    d.rows_read,
    coalesce(b.rows_stored, 0) as rows_stored,
    coalesce(b.rows_revised, 0) as rows_revised,
    coalesce(b.duplicates, 0) as duplicates,
    coalesce(b.quarantined, 0) as quarantined
from landing_days as d
inner join landing_files as f on d.file_id = f.file_id
left join lateral (
    select * from ingest_batches as i
    where i.file_id = d.file_id and i.day = d.day and i.known_at >= d.requested_at
    order by i.batch_id desc
    limit 1
) as b on true
where d.file_id = any(%(file_ids)s)
order by f.file_id, d.day;
