-- Which of some files still wait to be taken in on a day, held until the end of the transaction: of two runs that found the same
-- file waiting, the second waits here, and then finds it taken in.
select d.file_id
from landing_days as d
where d.day = %(day)s and d.file_id = any(%(file_ids)s) and d.is_pending
order by d.file_id
for update;
