-- Asks for all landed files of some days and one stream again.
update landing_days as d
set is_pending = true, requested_at = clock_timestamp(), refused = null
from landing_files as f
where d.file_id = f.file_id and f.stream = %(stream)s and d.day = any(%(days)s);
