-- Lines of this file and day that are refused no more have been taken in after all.
update quarantine
set state = 'replayed', replayed_at = %(known_at)s
where file_id = %(file_id)s and day = %(day)s and state = 'quarantined' and not (line = any(%(refused_lines)s));
