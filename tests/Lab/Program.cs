// Nothing runs by itself: the page's script calls the exports of Lab.
return 0;
