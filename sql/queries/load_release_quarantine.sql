-- Lines of this file that were refused before and now are stored, or were found known.
update quarantine
set state = 'replayed', replayed_at = %(known_at)s
where file_id = %(file_id)s and state = 'quarantined' and line = any(%(taken_lines)s);
