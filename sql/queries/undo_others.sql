-- The batches of a file's stream and day that stand and brought something, with how many rows.
select
    b.batch_id,
    b.rows_stored + b.rows_revised as brought
from ingest_batches as b
where
    b.file_id = %(file_id)s and b.day = %(day)s and b.stream = %(stream)s and b.undoes_batch_id is null
    and b.rows_stored + b.rows_revised > 0
    and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = b.batch_id)
order by b.batch_id;
