from sslab.course.cli import course

course(prog_name="python -m sslab.course")
