# The report page: its own files in src/report/page and the chart library (D3), embedded into the
# library `dovetail_report` so that a finished page needs no network.

# Debian's node-d3. Another d3.min.js (version 5 to 7) can be given with -DDOVETAIL_D3=..., its licence
# with -DDOVETAIL_D3_LICENCE=...
find_file(DOVETAIL_D3 d3.min.js PATHS /usr/share/nodejs/d3/dist NO_DEFAULT_PATH)
find_file(DOVETAIL_D3_LICENCE copyright PATHS /usr/share/doc/node-d3 NO_DEFAULT_PATH)
if(NOT DOVETAIL_D3 OR NOT DOVETAIL_D3_LICENCE)
  message(FATAL_ERROR
    "The chart library of the report page is missing: d3.min.js and its licence (Debian package node-d3).\n"
    "Run tools/install_deps.sh, or give -DDOVETAIL_D3=<d3.min.js> -DDOVETAIL_D3_LICENCE=<text>.")
endif()

# In the order in which the page runs them.
set(DOVETAIL_PAGE_SCRIPTS
  words.js elements.js record_data.js selection.js plot.js front_picture.js baseline_picture.js
  recipe_picture.js chip_pictures.js cost_pictures.js prediction_picture.js accuracy_picture.js
  worth_pictures.js
  target_picture.js assumption_tables.js page.js)

function(dovetail_embed_page)
  set(folder ${CMAKE_SOURCE_DIR}/src/report/page)
  list(TRANSFORM DOVETAIL_PAGE_SCRIPTS PREPEND ${folder}/ OUTPUT_VARIABLE scripts)
  list(JOIN scripts "," joined)
  set(output ${CMAKE_BINARY_DIR}/page_assets.cc)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND}
      "-DFILES=kPageShell=${folder}/page.html|kPageStyle=${folder}/page.css|kPageScript=${joined}|kComparisonShell=${folder}/comparison.html|kRoadmapShell=${folder}/roadmap.html|kChartLibrary=${DOVETAIL_D3}|kChartLicence=${DOVETAIL_D3_LICENCE}"
      -DOUTPUT=${output} -P ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
    DEPENDS ${scripts} ${folder}/page.html ${folder}/page.css ${folder}/comparison.html ${folder}/roadmap.html
      ${DOVETAIL_D3} ${DOVETAIL_D3_LICENCE} ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
    COMMENT "Embedding the report page" VERBATIM)
  target_sources(dovetail_report PRIVATE ${output})
endfunction()
