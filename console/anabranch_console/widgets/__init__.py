"""Line-drawing widgets: they paint what presenters say, and only what changed."""
